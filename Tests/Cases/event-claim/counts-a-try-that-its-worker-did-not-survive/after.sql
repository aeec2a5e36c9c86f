select n.outcome_class, n.retry_count, a.class from notification_logs n join notification_attempts a on a.delivery = n.id
