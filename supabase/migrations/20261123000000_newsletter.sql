-- The newsletter: subscribing and unsubscribing from the site, and a /health that does not tell who did. May be run again at
-- any time, also after the clean-up of 20251219000001, which leaves subscribers and these functions alone.

do $$
begin
  if to_regprocedure('public.protect_function(regprocedure, text[])') is null then
    raise exception 'run 20251219000000_lead_base.sql first';
  end if;
end
$$;

alter table public.newsletter_subscribers
  add column if not exists unsubscribe_token uuid not null default gen_random_uuid()
    constraint newsletter_subscribers_unsubscribe_token_key unique,
  add column if not exists unsubscribed_at timestamptz;
comment on column public.newsletter_subscribers.unsubscribe_token is
  'Stands in the links of the newsletters to this subscriber: whoever has it may end the subscription.';

-- Subscribes an address. An address that is subscribed stays as it is and makes no event; one that was unsubscribed is
-- subscribed anew. Every call writes its row, so that the time of an answer does not tell who is subscribed.
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
      raise exception 'subscriber was deleted while he subscribed' using errcode = 'serialization_failure';
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
  end if;
  return jsonb_build_object('id', v_id, 'isNew', not v_was_active, 'eventId', v_event);
end
$$;

-- Ends the subscription of a token or, without one, of an address. The id is null when there is none; a message to the log
-- of PostgreSQL's own then takes the time that a row would have taken.
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

-- What /health says. Nulls where the event tables are gone; only partial indexes are read. With olderThanSeconds it tells only
-- of what is that old, and the worker's time is rounded down to it: for strangers, who must not see what they set in motion.
create or replace function public.health_report(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_old double precision := coalesce((p ->> 'olderThanSeconds')::double precision, 0);
  v_before timestamptz := clock_timestamp() - make_interval(secs => v_old);
  v_seen timestamptz;
  v_unprocessed bigint;
  v_oldest timestamptz;
  v_failed bigint;
begin
  if to_regclass('public.workers') is not null then
    select max(last_seen) into v_seen from public.workers;
    if v_old > 0 then
      v_seen := date_bin(make_interval(secs => v_old), v_seen, 'epoch');
    end if;
  end if;
  if to_regclass('public.lead_events') is not null then
    select count(*), min(created_at) into v_unprocessed, v_oldest from public.lead_events
    where processed = false and created_at <= v_before;
  end if;
  if to_regclass('public.notification_logs') is not null then
    select count(*) into v_failed from public.notification_logs where status = 'failed' and created_at <= v_before;
  end if;
  return jsonb_build_object(
    'workerLastSeen', public.iso8601(v_seen), 'unprocessed', v_unprocessed,
    'oldestSeconds', floor(extract(epoch from clock_timestamp() - v_oldest)), 'failed', v_failed,
    'durable', current_setting('fsync')::boolean and current_setting('synchronous_commit') <> 'off');
end
$$;

do $$
begin
  perform public.protect_function('public.subscribe_newsletter(jsonb)', 'leadpipe_intake');
  perform public.protect_function('public.unsubscribe_newsletter(jsonb)', 'leadpipe_intake');
  perform public.protect_function('public.health_report(jsonb)', 'leadpipe_intake', 'leadpipe_worker', 'leadpipe_admin');
end
$$;
