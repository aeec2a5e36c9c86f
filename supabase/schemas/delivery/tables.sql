-- Deliveries (one row in notification_logs for each event, channel and recipient), their attempts, channels and
-- workers.
--
--   pending ──claim: lease, fence──▶ pending ──begin──▶ sending ──record──▶ sent (▶ delivered)
--      ▲                                                   │
--      └── due again ── failed, next_attempt_at ◀──────────┴──▶ failed, no next_attempt_at: given up
--
-- The only foreign key that references lead_events, conversation_timeline, follow_up_tasks or notification_logs is
-- notification_logs → lead_events. The checklist's clean-up drops these four tables without CASCADE, notification_logs
-- first.

-- A delivery is inserted with its lease and updated twice within seconds: when its message is about to be sent, and with
-- its outcome. The first update must change no column of an index, also not in a condition, so that it is a HOT update:
-- the half of each page that an insert leaves free is for it. The other parameters are chosen as for lead_events.
create table public.notification_logs (
  id uuid constraint notification_logs_pkey primary key default leadpipe.uuid_v7(),
  lead_event_id uuid not null
    constraint notification_logs_lead_event_id_fkey references public.lead_events (id) on delete cascade,
  conversation_id uuid
    constraint notification_logs_conversation_id_fkey references public.conversations (id) on delete cascade,
  channel public.notification_channel not null,
  recipient text not null default 'default',
  subject text,
  payload jsonb,
  status text not null default 'pending'
    constraint notification_logs_status_check check (status in ('pending', 'sending', 'sent', 'delivered', 'failed')),
  error_message text,
  sent_at timestamptz,
  delivered_at timestamptz,
  retry_count integer not null default 0,
  created_at timestamptz not null default now(),
  next_attempt_at timestamptz,
  lease_until timestamptz,
  leased_by text,
  fence bigint not null default 0,
  outcome_class text,
  provider_id text,
  replay_of uuid,
  updated_at timestamptz not null default now(),
  retried_at timestamptz,
  paused_before double precision not null default 0,
  begun_at timestamptz,
  event_at timestamptz,
  due_at timestamptz generated always as (
    case when status in ('pending', 'sending') then coalesce(next_attempt_at, created_at)
      when status = 'failed' then next_attempt_at end) stored,
  is_failed boolean generated always as (status = 'failed') stored,
  is_held boolean generated always as (leased_by is not null or status = 'sending') stored,
  to_agent boolean not null default false,
  to_visitor boolean not null default false
) with (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
-- One delivery for each event, channel and recipient, and any number of replays. It also finds the deliveries of an
-- event, which a partial index could not.
create unique index notification_logs_lead_event_id_channel_recipient_key
  on public.notification_logs (lead_event_id, channel, recipient, (case when replay_of is not null then id end)) nulls not distinct;
create index notification_logs_conversation_id_idx on public.notification_logs (conversation_id);
create index notification_logs_due_idx on public.notification_logs (channel, recipient, due_at)
  where due_at is not null;
-- The deliveries that workers hold, which are few: those that are being sent and those that are claimed.
create index notification_logs_held_idx on public.notification_logs (leased_by) where is_held;
-- The events with an unfinished delivery, by their time, which are those that are planned and not finished. An index of
-- unfinished events would cost each event another version of its entries in all indexes.
create index notification_logs_open_idx on public.notification_logs (event_at, lead_event_id) where due_at is not null;
-- The unfinished deliveries to agents, for a claim, which knows only the recipients in the settings.
create index notification_logs_agents_idx on public.notification_logs (due_at) where to_agent and due_at is not null;
-- The unfinished receipts, for the same reason.
create index notification_logs_visitors_idx on public.notification_logs (due_at) where to_visitor and due_at is not null;
create index notification_logs_failed_idx on public.notification_logs (created_at desc) where is_failed;
-- For list_deliveries, which would otherwise sort the whole table.
create index notification_logs_created_at_idx on public.notification_logs (created_at, id);
-- Excludes successful deliveries, which are the majority.
create index notification_logs_class_idx on public.notification_logs (outcome_class, created_at, id)
  where outcome_class not in ('delivered', 'accepted');
create or replace trigger notification_logs_updated_at before update on public.notification_logs
  for each row when (old.updated_at = new.updated_at) execute function public.update_updated_at_column();
select leadpipe.protect_table('public.notification_logs');
comment on table public.notification_logs is 'Deliveries: one row per event, channel and recipient.';
comment on column public.notification_logs.recipient is 'The email address or chat id; `default` if the channel has only one destination.';
comment on column public.notification_logs.to_agent is 'True if the recipient is the address of an agent, which no setting names.';
comment on column public.notification_logs.to_visitor is 'True for a receipt: the recipient is the address that a visitor has given.';
comment on column public.notification_logs.event_at is 'lead_events.created_at of the event; null if the delivery was created by an earlier version of this schema.';
comment on column public.notification_logs.retry_count is 'The number of attempts used.';
comment on column public.notification_logs.next_attempt_at is 'When the next attempt is due. A failed delivery without it is given up or parked.';
comment on column public.notification_logs.lease_until is 'When the lease of leased_by expires.';
comment on column public.notification_logs.fence is 'Increases with each claim. An outcome is recorded only under the current fence.';
comment on column public.notification_logs.outcome_class is 'delivered, accepted, retry, throttled, permanent, config or unknown.';
comment on column public.notification_logs.replay_of is 'The delivery that this one repeats at an operator''s request.';
comment on column public.notification_logs.begun_at is 'When the latest attempt began.';
comment on column public.notification_logs.due_at is
  'When the delivery can be claimed, regardless of its lease; while it is being sent, when it was due; null once it is final.';
comment on column public.notification_logs.is_failed is 'True if the status is failed, for an index that no other status changes.';
comment on column public.notification_logs.is_held is 'True if a worker has claimed it or is sending it, for an index that the step between the two does not change.';
comment on column public.notification_logs.retried_at is 'When an operator last requested a retry. The time limit for attempts counts from then.';
comment on column public.notification_logs.paused_before is 'For how many seconds the channel had been paused in total when the time limit for attempts began.';

create table public.notification_attempts (
  delivery uuid not null,
  fence bigint not null,
  attempt integer not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  class text,
  status_code integer,
  provider_code text,
  retry_after_seconds double precision,
  excerpt text,
  worker text,
  -- The fence, not the attempt, is in the key: a try that uses up no attempt leaves its attempt number to the next try.
  constraint notification_attempts_pkey primary key (delivery, fence)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0.02);
create index notification_attempts_started_at_idx on public.notification_attempts (started_at);
select leadpipe.protect_table('public.notification_attempts');
comment on table public.notification_attempts is
  'Every attempt that has ended, append-only. Only a late outcome replaces one: that of an attempt whose outcome was unknown. delivery is notification_logs.id, without a foreign key.';
comment on column public.notification_attempts.excerpt is 'An excerpt of the provider''s response, without secrets and personal data.';

create table public.notification_channels (
  channel public.notification_channel constraint notification_channels_pkey primary key,
  paused_until timestamptz,
  pause_reason text,
  settings_fingerprint text,
  fail_streak integer not null default 0,
  send_budget jsonb,
  updated_at timestamptz not null default now(),
  pause_class text,
  paused_since timestamptz,
  paused_seconds double precision not null default 0,
  probe uuid
);
create or replace trigger notification_channels_updated_at before update on public.notification_channels
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.notification_channels');
comment on table public.notification_channels is 'The state of a channel as a whole. A channel without a row is open.';
comment on column public.notification_channels.paused_until is 'No delivery of this channel is claimed before this time.';
comment on column public.notification_channels.pause_class is 'The class that caused the latest pause: throttled or config.';
comment on column public.notification_channels.paused_since is 'When the latest pause began; unchanged when the pause is extended.';
comment on column public.notification_channels.paused_seconds is 'The total length of all earlier pauses.';
comment on column public.notification_channels.fail_streak is 'The number of consecutive outcomes of class config. While it is above 0, one delivery at a time is claimed.';
comment on column public.notification_channels.probe is 'The delivery that tests the channel while fail_streak is above 0.';
comment on column public.notification_channels.send_budget is
  '{"nextAt": …}: when the next message of a channel with a pace can begin, across all workers.';

create table public.workers (
  name text constraint workers_pkey primary key,
  started_at timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  version text
);
select leadpipe.protect_table('public.workers');
comment on table public.workers is 'The heartbeats of workers. /health reports the latest.';
