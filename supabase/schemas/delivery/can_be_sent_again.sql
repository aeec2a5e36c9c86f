-- True if a delivery can be sent again. Rows that only say that a provider is missing cannot, and neither can those to the
-- address of someone who is no agent any more.
create or replace function leadpipe.can_be_sent_again(p_recipient text, p_to_agent boolean) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when p_to_agent then exists (select from public.agents a where a.email = p_recipient) else p_recipient not in ('agent', 'customer') end
$$;
revoke all on function leadpipe.can_be_sent_again(text, boolean) from public, anon, authenticated;
