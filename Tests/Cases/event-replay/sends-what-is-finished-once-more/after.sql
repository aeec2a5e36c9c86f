select channel, status, replay_of is not null from notification_logs order by replay_of is not null, channel; select title, actor_name from conversation_timeline order by title
