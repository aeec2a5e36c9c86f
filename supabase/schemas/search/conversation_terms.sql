-- Returns the words and exact terms of a conversation. Only the latest 50,000 characters of a conversation and the
-- first 20,000 of a message are indexed, because a tsvector holds at most 1 MB. If this is still too much, only the
-- exact terms are indexed.
create or replace function leadpipe.conversation_terms(c public.conversations, p_said text) returns tsvector
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_own text := left(array_to_string(c.tags, ' '), 20000) || ' ' || left(coalesce(c.notes, ''), 20000);
  v_phone text := nullif(left(leadpipe.phone_digits(c.customer_phone), 30), '');
  v_whole text[] := array['s=' || c.status, 'q=' || c.lead_quality, leadpipe.exact_term('i=', c.intent), leadpipe.exact_term('a=', c.preferred_area),
    'g=' || coalesce(c.assigned_agent_id::text, 'none'), leadpipe.exact_term('o=', c.source),
    -- The SLA state, as far as it does not change with time.
    'l=' || case
      when c.first_response_at > c.sla_response_deadline then 'late'
      when c.first_response_at is not null then 'met'
      when c.status not in ('completed', 'lost', 'converted') then 'open'
      when c.sla_breached then 'late' else 'closed' end,
    'p=' || v_phone, 'r=' || reverse(v_phone)];
begin
  if c.tags <> '{}' then
    v_whole := v_whole || array(select leadpipe.exact_term('t=', tag) from unnest(c.tags) as tag);
  end if;
  return setweight(leadpipe.text_words(left(c.customer_name, 1000)), 'A')
    || setweight(leadpipe.text_words(left(c.customer_email, 1000)), 'B')
    || case when v_own = ' ' then '' else setweight(leadpipe.text_words(v_own), 'C') || leadpipe.mail_terms(v_own, 'C') end
    || leadpipe.text_words(p_said)
    || coalesce((leadpipe.quote_lexeme('e=' || left(lower(c.customer_email), 300)) || ':1B')::tsvector, '')
    || coalesce(leadpipe.mail_terms(p_said, 'D'), '')
    || array_to_tsvector(array_remove(v_whole, null));
exception when program_limit_exceeded then
  return array_to_tsvector(array_remove(v_whole, null));
end
$$;
revoke all on function leadpipe.conversation_terms(public.conversations, text) from public, anon, authenticated;
