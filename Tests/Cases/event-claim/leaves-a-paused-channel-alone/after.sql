select status from notification_logs where channel = 'slack'
