-- Returns a message as shown in the admin interface.
create or replace function leadpipe.message_document(m public.chat_messages) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', m.id, 'sender', m.sender, 'messageText', m.message_text, 'messageType', m.message_type,
    'timestamp', leadpipe.iso8601(m."timestamp"), 'isRead', m.is_read, 'metadata', leadpipe.shown(m.metadata))
$$;
revoke all on function leadpipe.message_document(public.chat_messages) from public, anon, authenticated;
