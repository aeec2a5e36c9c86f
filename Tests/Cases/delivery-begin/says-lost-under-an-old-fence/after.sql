select status, (select count(*) from notification_attempts) from notification_logs
