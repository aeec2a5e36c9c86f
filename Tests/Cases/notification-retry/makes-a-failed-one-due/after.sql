select status, next_attempt_at <= now(), retried_at is not null from notification_logs where channel = 'email'; select title, actor_name from conversation_timeline
