-- Returns the language of a conversation as a lower-case BCP 47 tag: `metadata.language` if the client sent it, `ar` if the
-- customer's name, notes or latest messages have Arabic letters. Null if it is unknown.
create or replace function leadpipe.lead_language(c public.conversations) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c_arabic constant text := '[\u0600-\u06FF\u0750-\u077F\u08A0-\u08FF\uFB50-\uFDFF\uFE70-\uFEFF]';
  v_sent text := lower(replace(c.metadata ->> 'language', '_', '-'));
begin
  if v_sent ~ '^[a-z]{2,3}(-[a-z0-9]{1,8}){0,4}$' then
    return v_sent;
  elsif coalesce(c.customer_name, '') ~ c_arabic or coalesce(c.notes, '') ~ c_arabic or exists (
    select from (select m.message_text from public.chat_messages m where m.conversation_id = c.id and m.sender = 'customer'
                 order by m."timestamp" desc, m.created_at desc limit 20) latest
    where latest.message_text ~ c_arabic) then
    return 'ar';
  end if;
  return null;
end
$$;
revoke all on function leadpipe.lead_language(public.conversations) from public, anon, authenticated;
