-- Returns the newest messages of a conversation, oldest first: at most `p_most` messages and `p_bytes` bytes.
create or replace function leadpipe.newest_messages(p_conversation uuid, p_most integer, p_bytes integer) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(leadpipe.message_document(m) order by (m)."timestamp", (m).created_at), '[]')
  from (select m, sum(octet_length((m).message_text) + octet_length(coalesce((m).metadata::text, '')))
                  over (order by (m)."timestamp" desc, (m).created_at desc rows unbounded preceding) as bytes
        from (select m from public.chat_messages m where m.conversation_id = p_conversation
              order by m."timestamp" desc, m.created_at desc limit p_most) newest) sized
  where bytes <= p_bytes
$$;
revoke all on function leadpipe.newest_messages(uuid, integer, integer) from public, anon, authenticated;
