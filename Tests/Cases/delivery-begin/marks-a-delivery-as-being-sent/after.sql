select n.status, a.attempt, a.fence, a.finished_at is null from notification_logs n join notification_attempts a on a.delivery = n.id
