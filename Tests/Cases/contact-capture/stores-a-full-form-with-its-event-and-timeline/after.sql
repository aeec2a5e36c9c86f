select customer_name, customer_phone, customer_email, source, intent, budget, property_type, metadata from conversations;
select string_agg(sender || ':' || message_text, ',') from chat_messages;
select event_type, processed, payload ->> 'customerEmail', payload ->> 'customerName', payload ->> 'customerPhone', payload ->> 'department', payload ->> 'message', payload ->> 'source', payload ->> 'subject' from lead_events;
select event_type, title, description from conversation_timeline
