select count(*) from notification_logs where replay_of is not null
