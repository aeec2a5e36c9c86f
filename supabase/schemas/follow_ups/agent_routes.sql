-- Returns an agent's email address if it can be used in a header; otherwise null.
create or replace function leadpipe.agent_address(p_email text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select p_email where octet_length(p_email) <= 254
    and p_email ~ '^[A-Za-z0-9!#$%&''*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]+$'
$$;
revoke all on function leadpipe.agent_address(text) from public, anon, authenticated;

-- Returns where a message for an agent goes, given the configured channels: to the agent's address, or without one to
-- the office's recipients of email. If email is not configured, all other recipients get it, and an entry with a
-- `reason` says so: its delivery fails at once.
create or replace function leadpipe.agent_routes(p_address text, p_channels jsonb)
returns table (channel public.notification_channel, recipient text, to_agent boolean, reason text)
language sql stable set search_path = pg_catalog, pg_temp as $$
  with office as materialized (
    select distinct e.channel::public.notification_channel, coalesce(e.recipient, 'default') as recipient
    from jsonb_to_recordset(p_channels) as e (channel text, recipient text) where octet_length(coalesce(e.recipient, '')) <= 1000
  ), mail as materialized (
    select exists (select from office where office.channel = 'email') as is_configured
  )
  select 'email'::public.notification_channel, p_address, true, null::text from mail where is_configured and p_address is not null
  union all
  select office.channel, office.recipient, false, null from office, mail
  where not is_configured or p_address is null and office.channel = 'email'
  union all
  select 'email', coalesce(p_address, 'default'), p_address is not null,
    'email is not configured: set EMAIL_HOST or RESEND_API_KEY; the configured channels have got the message instead'
  from mail where not is_configured
$$;
revoke all on function leadpipe.agent_routes(text, jsonb) from public, anon, authenticated;

-- Creates the deliveries of an event without a conversation that is for one agent. See agent_routes.
create or replace function leadpipe.plan_for_agent(p_event uuid, p_address text, p_channels jsonb, p_now timestamptz) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into public.notification_logs (lead_event_id, event_at, channel, recipient, to_agent, status, outcome_class, error_message,
    paused_before, created_at, updated_at)
  select p_event, p_now, channel, recipient, to_agent, case when reason is null then 'pending' else 'failed' end,
    case when reason is not null then 'permanent' end, reason, leadpipe.paused_seconds(channel, p_now), p_now, p_now
  from leadpipe.agent_routes(p_address, p_channels)
$$;
revoke all on function leadpipe.plan_for_agent(uuid, text, jsonb, timestamptz) from public, anon, authenticated;
