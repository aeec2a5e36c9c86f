select count(*) from notification_attempts
