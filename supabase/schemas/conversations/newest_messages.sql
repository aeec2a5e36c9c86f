-- Returns the newest messages of a conversation, oldest first: at most `p_most` messages, and `p_bytes` bytes as they are
-- sent. A reply is a string in the handler's output, so quotes are escaped twice.
create or replace function leadpipe.newest_messages(p_conversation uuid, p_most integer, p_bytes integer) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(document order by "timestamp", created_at), '[]')
  from (select document, "timestamp", created_at, sum(octet_length(to_jsonb(document::text)::text))
                  over (order by "timestamp" desc, created_at desc rows unbounded preceding) as bytes
        from (select leadpipe.message_document(m) as document, m."timestamp", m.created_at
              from public.chat_messages m where m.conversation_id = p_conversation
              order by m."timestamp" desc, m.created_at desc limit p_most) newest) sized
  where bytes <= p_bytes
$$;
revoke all on function leadpipe.newest_messages(uuid, integer, integer) from public, anon, authenticated;
