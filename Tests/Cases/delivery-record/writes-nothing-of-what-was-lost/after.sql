select status from notification_logs
