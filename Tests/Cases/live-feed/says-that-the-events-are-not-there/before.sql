drop table notification_logs, follow_up_tasks, conversation_timeline, lead_events;
