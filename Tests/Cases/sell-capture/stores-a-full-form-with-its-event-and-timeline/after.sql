select customer_name, customer_phone, customer_email, source, intent, budget, property_type, metadata from conversations;
select string_agg(sender || ':' || message_text, ',') from chat_messages;
select event_type, processed, payload ->> 'customerName', payload ->> 'expectedPrice', payload ->> 'propertyAddress', payload ->> 'propertyDescription', payload ->> 'propertyType', payload ->> 'source', payload ->> 'urgency' from lead_events;
select event_type, title, description from conversation_timeline
