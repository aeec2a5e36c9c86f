select (select count(*) from conversations), (select count(*) from lead_events), (select count(*) from chat_messages)
