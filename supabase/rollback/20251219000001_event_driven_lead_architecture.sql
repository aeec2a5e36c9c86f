-- The checklist's clean-up, extended to Leadpipe's own tables for events and notifications. Stop the worker first, and
-- run this file as one transaction, as `leadpipe rollback` does. Conversations and messages are kept, and capture
-- continues to store them. The columns on conversations, the types and the functions are kept too. Capture, /health and
-- the worker's deliveries check which tables exist; any other call that needs one of the dropped tables fails. Leads
-- that have not been announced are moved to leadpipe.unsent_leads, from where DIRECT_NOTIFICATIONS=true sends them.
-- Afterwards, `leadpipe migrate` or `supabase db push` creates the event system again, empty.

-- Takes all locks at once or none, and gives them back after each try: captures and claims lock these tables in other
-- orders, so waiting for one table with the lock on another could be a deadlock. A DROP also locks the tables that its
-- foreign keys refer to.
do $$
declare
  v_tables text := (
    select string_agg(format('public.%I', c.relname), ', ' order by c.relname) from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname in (
      'agents', 'conversations', 'notification_logs', 'follow_up_tasks', 'conversation_timeline', 'lead_events',
      'notification_attempts', 'notification_channels', 'workers'));
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 60 loop
    begin
      execute 'lock table ' || v_tables || ' in access exclusive mode';
      exit;
    exception when lock_not_available then
      if attempt = 60 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);

  if to_regclass('leadpipe.unsent_leads') is null or to_regclass('public.lead_events') is null
    or to_regclass('public.notification_logs') is null then
    return;
  end if;
  -- A delivery keeps its id and its fence, so that a worker that is sending it can still record what became of it.
  -- Messages to agents and receipts do not announce a lead to the team.
  insert into leadpipe.unsent_leads (id, event_type, conversation_id, payload, request_id, created_at, planned_at)
  select e.id, e.event_type, e.conversation_id, e.payload, e.request_id, e.created_at,
    case when exists (select from public.notification_logs d where d.lead_event_id = e.id) then clock_timestamp() end
  from public.lead_events e
  where e.id in (
      select o.id from public.lead_events o where o.planned_at is null and not o.processed
      union
      select d.lead_event_id from public.notification_logs d
      where d.due_at is not null and not d.to_agent and not d.to_visitor and d.replay_of is null
      union
      -- Kept aside as spam: announced if somebody brings it back.
      select s.id from public.lead_events s join public.conversations c on c.id = s.conversation_id
      where c.status = 'spam' and s.event_type = 'lead.created' and not s.payload ? 'erased'
        and not exists (select from public.notification_logs d where d.lead_event_id = s.id))
    and e.conversation_id is not null and e.event_type::text in ('lead.created', 'lead.updated', 'lead.qualified')
    and leadpipe.event_notifies(e.event_type, e.payload)
  on conflict do nothing;
  insert into leadpipe.direct_deliveries (
    id, lead_id, channel, recipient, status, retry_count, due_at, lease_until, leased_by, fence, outcome_class,
    may_have_arrived, error_message)
  select d.id, d.lead_event_id, d.channel, d.recipient, d.status, d.retry_count, d.due_at, d.lease_until, d.leased_by,
    d.fence, d.outcome_class, leadpipe.is_possible_repeat(d.id, d.lead_event_id, d.channel, d.recipient), d.error_message
  from public.notification_logs d join leadpipe.unsent_leads u on u.id = d.lead_event_id
  where d.due_at is not null and not d.to_agent and not d.to_visitor and d.replay_of is null
  on conflict do nothing;
end
$$;

drop table if exists public.notification_logs;
drop table if exists public.follow_up_tasks;
drop table if exists public.conversation_timeline;
drop table if exists public.lead_events;
drop table if exists public.notification_attempts;
drop table if exists public.notification_channels;
drop table if exists public.workers;

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    -- Only Leadpipe's migrations must run again. The ledger can also contain those of another project, and
    -- 20251219000001 can be one of them.
    delete from supabase_migrations.schema_migrations where version in (
      '20261127000000', '20261127010000', '20261127020000', '20261127030000', '20261127040000', '20261127050000',
      '20261127060000', '20261127070000', '20261127080000', '20261127090000', '20261127100000', '20261127110000',
      '20261127120000', '20261127130000', '20261127140000',
      '20261128075832',
      '20261128112002',
      '20261128132122',
      '20261128163546',
      '20261128175243',
      '20261128175447',
      '20261128181803',
      '20261128181804',
      '20261128183234',
      '20261128205439',
      '20261128220210',
      '20261128220400',
      '20261128221206',
      '20261128222655',
      '20261128223539',
      '20261128223540',
      '20261129003806',
      '20261129032417',
      '20261129032701',
      '20261129032702',
      '20261129033222',
      '20261129065427',
      '20261129065428',
      '20261129083535',
      '20261129084233',
      '20261129084633',
      '20261129094042',
      '20261129114222',
      '20261129130352');
  end if;
end
$$;
