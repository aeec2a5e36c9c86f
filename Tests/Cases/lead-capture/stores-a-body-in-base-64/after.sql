select (select count(*) from conversations), (select count(*) from lead_events where event_type = 'lead.created'),
  (select string_agg(event_type || ':' || title, ',') from conversation_timeline)
