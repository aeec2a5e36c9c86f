select count(*) from notification_logs
