select event_type, processed from lead_events;
