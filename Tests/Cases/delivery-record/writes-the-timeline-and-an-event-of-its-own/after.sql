select (select string_agg(title, ',') from conversation_timeline), (select string_agg(event_type || ':' || processed, ',') from lead_events where event_type::text like 'notification%')
