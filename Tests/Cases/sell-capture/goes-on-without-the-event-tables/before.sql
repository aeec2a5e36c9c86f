drop table notification_logs; drop table follow_up_tasks; drop table conversation_timeline; drop table lead_events;
