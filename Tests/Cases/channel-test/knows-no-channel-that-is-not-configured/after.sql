select count(*) from lead_events
