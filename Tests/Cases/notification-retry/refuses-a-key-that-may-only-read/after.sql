select status, retried_at is null from notification_logs where channel = 'email'
