-- Ends the subscription of a token or, without a token, of an address. If nothing matches, the id is null, and a
-- message is written to the write-ahead log, which takes as long as updating a row.
create or replace function public.unsubscribe_newsletter(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
  v_id uuid;
begin
  if p ->> 'token' is not null then
    select id into v_id from public.newsletter_subscribers where unsubscribe_token = (p ->> 'token')::uuid for update;
  else
    select id into v_id from public.newsletter_subscribers where lower(email) = lower(p ->> 'email') for update;
  end if;
  update public.newsletter_subscribers set
    unsubscribed_at = case when status = 'active' then clock_timestamp() else unsubscribed_at end,
    status = 'unsubscribed'
  where id = v_id;
  if not found then
    perform pg_catalog.pg_logical_emit_message(true, 'leadpipe', '');
  end if;
  return jsonb_build_object('id', v_id);
end
$$;
revoke all on function public.unsubscribe_newsletter(jsonb) from public, anon, authenticated;
grant execute on function public.unsubscribe_newsletter(jsonb) to leadpipe_intake, service_role;
