-- The newsletter's subscribers.

alter table public.newsletter_subscribers
  add column if not exists unsubscribe_token uuid not null default gen_random_uuid()
    constraint newsletter_subscribers_unsubscribe_token_key unique,
  add column if not exists unsubscribed_at timestamptz;
create index if not exists newsletter_subscribers_subscribed_at_idx on public.newsletter_subscribers (subscribed_at, id);
comment on column public.newsletter_subscribers.unsubscribe_token is
  'Part of the unsubscribe links sent to this subscriber. Anyone who has it can end the subscription.';

-- Deletes a subscriber and the events that contain the address, with their deliveries. Deliveries that have not been
-- sent are never sent. The address can be subscribed again later, as a new subscriber. Raises LP404 if the subscriber
-- does not exist.
create or replace function public.delete_subscriber(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_email text;
  v_events uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  delete from public.newsletter_subscribers where id = (p ->> 'id')::uuid returning lower(email) into v_email;
  if not found then
    raise exception using errcode = 'LP404', message = 'subscriber_not_found';
  end if;
  -- The clean-up drops this table.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    select array_agg(id) into v_events from (
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = v_email order by e.id for update) held;
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  return jsonb_build_object('success', true, 'id', p -> 'id');
end
$$;
revoke all on function public.delete_subscriber(jsonb) from public, anon, authenticated;
grant execute on function public.delete_subscriber(jsonb) to leadpipe_admin, service_role;

-- Returns a subscriber as shown in the admin interface.
create or replace function leadpipe.subscriber_document(s public.newsletter_subscribers) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', s.id, 'email', s.email, 'status', s.status, 'source', s.source,
    'subscribedAt', leadpipe.iso8601(s.subscribed_at), 'unsubscribedAt', leadpipe.iso8601(s.unsubscribed_at))
$$;
revoke all on function leadpipe.subscriber_document(public.newsletter_subscribers) from public, anon, authenticated;

-- Lists subscribers, newest first, filtered by `status` and `query`, a part of the address.
create or replace function public.list_subscribers(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan as $$
declare
  v_page record;
  v_place jsonb;
  v_status text;
  v_part text;
  v_found uuid[];
begin
  p := leadpipe.authorize(p, 'read');
  select * into v_page from leadpipe.page_bounds(p);
  v_place := leadpipe.cursor_position('subscribers', p ->> 'cursor');
  v_status := p ->> 'status';
  v_part := lower(p ->> 'query');
  v_found := array(
    select s.id from public.newsletter_subscribers s
    where (v_status is null or s.status = v_status)
      and (v_part is null or position(v_part in lower(s.email)) > 0)
      and (v_place is null or (s.subscribed_at, s.id) < ((v_place ->> 'at')::timestamptz, (v_place ->> 'id')::uuid))
    order by s.subscribed_at desc, s.id desc limit v_page.size + 1 offset v_page.skip);
  return leadpipe.page_info(p,
      case when v_place is null then (
        select count(*) from public.newsletter_subscribers s
        where (v_status is null or s.status = v_status) and (v_part is null or position(v_part in lower(s.email)) > 0)) end,
      (select leadpipe.row_cursor('subscribers', s.subscribed_at, s.id) from public.newsletter_subscribers s
       where s.id = v_found[v_page.size] and cardinality(v_found) > v_page.size))
    || jsonb_build_object('data', (
      select coalesce(jsonb_agg(leadpipe.subscriber_document(s) order by s.subscribed_at desc, s.id desc), '[]')
      from public.newsletter_subscribers s where s.id = any (v_found[:v_page.size])));
end
$$;
revoke all on function public.list_subscribers(jsonb) from public, anon, authenticated;
grant execute on function public.list_subscribers(jsonb) to leadpipe_admin, service_role;

-- Subscribes an address. An active subscriber is unchanged and causes no event; an unsubscribed one is subscribed
-- again. Every call writes the row, so that the response time does not reveal whether the address was subscribed.
create or replace function public.subscribe_newsletter(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off as $$
declare
  v_received timestamptz := coalesce((p ->> 'receivedAt')::timestamptz, now());
  v_id uuid;
  v_was_active boolean := false;
  v_event uuid;
begin
  insert into public.newsletter_subscribers (email, source, ip_address, user_agent, subscribed_at)
  values (p ->> 'email', nullif(p ->> 'source', ''), nullif(p ->> 'ipAddress', ''), nullif(p ->> 'userAgent', ''), v_received)
  on conflict (lower(email)) do nothing
  returning id into v_id;

  if v_id is null then
    select s.id, s.status = 'active' into v_id, v_was_active
    from public.newsletter_subscribers s where lower(s.email) = lower(p ->> 'email') for update;
    if not found then
      raise exception using errcode = 'LPTRY', message = 'write_conflict';
    end if;
    update public.newsletter_subscribers s set
      status = 'active',
      subscribed_at = case when v_was_active then s.subscribed_at else v_received end,
      unsubscribed_at = null,
      source = case when v_was_active then s.source else coalesce(nullif(p ->> 'source', ''), s.source) end,
      ip_address = case when v_was_active then s.ip_address else nullif(p ->> 'ipAddress', '') end,
      user_agent = case when v_was_active then s.user_agent else nullif(p ->> 'userAgent', '') end
    where s.id = v_id;
  end if;

  if not v_was_active and to_regclass('public.lead_events') is not null then
    v_event := public.emit_lead_event('newsletter.subscribed', null, jsonb_strip_nulls(p -> 'payload'));
    update public.lead_events set request_id = p ->> 'requestId' where id = v_event and p ? 'requestId';
  end if;
  return jsonb_build_object('id', v_id, 'isNew', not v_was_active, 'eventId', v_event);
end
$$;
revoke all on function public.subscribe_newsletter(jsonb) from public, anon, authenticated;
grant execute on function public.subscribe_newsletter(jsonb) to leadpipe_intake, service_role;

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
