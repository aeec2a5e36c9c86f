-- The automatic assignment of leads to agents (docs/explanation/assigning.md). Only functions read these tables.

-- The state of the automation: one row, whose lock lets one call work at a time.
create table leadpipe.assigning (
  is_only boolean constraint assigning_pkey primary key default true constraint assigning_is_only_check check (is_only),
  seen xid8,
  own_left double precision not null default 0,
  own_at timestamptz not null default '-infinity',
  assigned integer not null default 0,
  moved integer not null default 0,
  summed_at timestamptz not null default '-infinity',
  lacks_agents boolean not null default false,
  waiting_at timestamptz not null default '-infinity'
);
revoke all on table leadpipe.assigning from public, anon, authenticated, service_role;
comment on column leadpipe.assigning.seen is
  'The new leads of all transactions before this one have been queued; null if only overdue leads are assigned.';
comment on column leadpipe.assigning.own_left is 'How many assignments could have a notification of their own at own_at.';
comment on column leadpipe.assigning.assigned is 'The assignments that the next summary reports.';
comment on column leadpipe.assigning.moved is 'The leads passed on that the next summary reports.';
comment on column leadpipe.assigning.summed_at is 'When the last summary was emitted.';
comment on column leadpipe.assigning.lacks_agents is 'A reply has said that there are no agents.';
comment on column leadpipe.assigning.waiting_at is 'When the last notification of leads that wait for an agent was emitted.';

-- Who has had a conversation, and since when its agent should have answered. A conversation without a row has had no
-- agent since its deadline was set, and does not wait for one.
create table leadpipe.assignment_turns (
  conversation_id uuid constraint assignment_turns_pkey primary key
    constraint assignment_turns_conversation_id_fkey references public.conversations (id) on delete cascade,
  quality text not null,
  deadline timestamptz,
  since timestamptz,
  queued_at timestamptz,
  had_by uuid[] not null default '{}',
  moves integer not null default 0,
  reason text,
  is_released boolean not null default false
);
revoke all on table leadpipe.assignment_turns from public, anon, authenticated, service_role;
create index assignment_turns_since_idx on leadpipe.assignment_turns (quality, since) where since is not null;
create index assignment_turns_queue_idx on leadpipe.assignment_turns (quality, deadline) where queued_at is not null;
comment on column leadpipe.assignment_turns.quality is 'The quality whose response time the agent has.';
comment on column leadpipe.assignment_turns.deadline is 'The deadline of the conversation that had_by and moves belong to.';
comment on column leadpipe.assignment_turns.since is
  'When the response time of the agent of an overdue conversation began: 1970 if it has ended. Null if the conversation is not to be passed on.';
comment on column leadpipe.assignment_turns.queued_at is 'Since when a new lead waits for an agent before its deadline; null if it does not.';
comment on column leadpipe.assignment_turns.had_by is 'The agents that have had the conversation for this deadline, the latest last.';
comment on column leadpipe.assignment_turns.moves is 'How often it was passed on automatically for this deadline.';
comment on column leadpipe.assignment_turns.is_released is 'True if a person has unassigned it after its deadline: it is not assigned automatically for this deadline.';
comment on column leadpipe.assignment_turns.reason is 'Why it waits or stays with its agent, as the last decision says.';

-- The decisions, at most 20 for a conversation. They contain no data of customers.
create table leadpipe.assignment_decisions (
  id uuid constraint assignment_decisions_pkey primary key default leadpipe.uuid_v7(),
  conversation_id uuid not null
    constraint assignment_decisions_conversation_id_fkey references public.conversations (id) on delete cascade,
  created_at timestamptz not null default clock_timestamp(),
  cause text not null,
  reason text not null,
  agent_id uuid,
  agent_id_before uuid,
  facts jsonb not null default '{}'
);
revoke all on table leadpipe.assignment_decisions from public, anon, authenticated, service_role;
create index assignment_decisions_conversation_id_idx on leadpipe.assignment_decisions (conversation_id, created_at desc, id desc);
create index assignment_decisions_created_at_idx on leadpipe.assignment_decisions (created_at);
comment on column leadpipe.assignment_decisions.cause is 'new, overdue, or unanswered: its agent has not answered in time.';
comment on column leadpipe.assignment_decisions.reason is 'Why this agent, or why none.';
comment on column leadpipe.assignment_decisions.agent_id is 'Who got the conversation; null if it waits or stays with its agent.';
