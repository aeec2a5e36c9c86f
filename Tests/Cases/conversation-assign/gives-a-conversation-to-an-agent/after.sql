select event_type, title, actor_name from conversation_timeline;
