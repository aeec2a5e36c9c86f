-- Subscribes an address. An active subscriber is unchanged and causes no event; an unsubscribed one is subscribed
-- again. With signs of a robot (`spam`), a new address is stored with the status spam, and a known one stays as it is;
-- the next submission without signs subscribes it. Every call writes the row, so that the response time does not reveal whether the address was subscribed.
create or replace function public.subscribe_newsletter(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
  v_received timestamptz;
  v_id uuid;
  v_was_active boolean := false;
  v_event uuid;
  v_is_spam constant boolean := coalesce(jsonb_typeof(p -> 'spam') = 'array' and p -> 'spam' <> '[]', false);
begin
  perform leadpipe.check_size(p, 16384);
  v_received := least(greatest(coalesce((p ->> 'receivedAt')::timestamptz, now()), '1970-01-01 00:00Z'), '9999-12-31 23:59Z');
  insert into public.newsletter_subscribers (email, status, source, ip_address, user_agent, subscribed_at)
  values (p ->> 'email', case when v_is_spam then 'spam' else 'active' end, nullif(p ->> 'source', ''), nullif(p ->> 'ipAddress', ''), nullif(p ->> 'userAgent', ''), v_received)
  on conflict (lower(email)) do nothing
  returning id into v_id;

  if v_id is null then
    select s.id, s.status = 'active' into v_id, v_was_active
    from public.newsletter_subscribers s where lower(s.email) = lower(p ->> 'email') for update;
    if not found then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    update public.newsletter_subscribers s set
      status = case when v_is_spam then s.status else 'active' end,
      subscribed_at = case when v_was_active or v_is_spam then s.subscribed_at else v_received end,
      unsubscribed_at = case when v_is_spam then s.unsubscribed_at end,
      source = case when v_was_active or v_is_spam then s.source else coalesce(nullif(p ->> 'source', ''), s.source) end,
      ip_address = case when v_was_active or v_is_spam then s.ip_address else nullif(p ->> 'ipAddress', '') end,
      user_agent = case when v_was_active or v_is_spam then s.user_agent else nullif(p ->> 'userAgent', '') end
    where s.id = v_id;
  end if;

  if not v_was_active and not v_is_spam and leadpipe.has_events() then
    v_event := public.emit_lead_event('newsletter.subscribed', null, jsonb_strip_nulls(p -> 'payload'));
    update public.lead_events set request_id = left(p ->> 'requestId', 200) where id = v_event and p ? 'requestId';
  end if;
  return jsonb_build_object('id', v_id, 'isNew', not v_was_active, 'eventId', v_event, 'isSpam', v_is_spam);
end
$$;
revoke all on function public.subscribe_newsletter(jsonb) from public, anon, authenticated;
grant execute on function public.subscribe_newsletter(jsonb) to leadpipe_intake, service_role;
