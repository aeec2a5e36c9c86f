select string_agg(message_text, ',' order by message_text) from chat_messages
