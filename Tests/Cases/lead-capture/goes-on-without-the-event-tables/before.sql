DROP TABLE IF EXISTS notification_logs;
DROP TABLE IF EXISTS follow_up_tasks;
DROP TABLE IF EXISTS conversation_timeline;
DROP TABLE IF EXISTS lead_events;
