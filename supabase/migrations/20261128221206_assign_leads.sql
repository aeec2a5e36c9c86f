-- Generated from schemas/ by `make migration`, except for the lock. This file can run again at any time.

-- Waits for the locks in short tries, so that captures and claims do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.agents, public.conversations in access exclusive mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
end
$$;

-- The state of the automation: one row, whose lock lets one call work at a time.
create table if not exists leadpipe.assigning (
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

-- The decisions, at most 20 for a conversation. They contain no data of customers.
create table if not exists leadpipe.assignment_decisions (
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

create index if not exists assignment_decisions_conversation_id_idx on leadpipe.assignment_decisions (conversation_id, created_at desc, id desc);

create index if not exists assignment_decisions_created_at_idx on leadpipe.assignment_decisions (created_at);

comment on column leadpipe.assignment_decisions.cause is 'new, overdue, or unanswered: its agent has not answered in time.';

comment on column leadpipe.assignment_decisions.reason is 'Why this agent, or why none.';

comment on column leadpipe.assignment_decisions.agent_id is 'Who got the conversation; null if it waits or stays with its agent.';

-- Who has had a conversation, and since when its agent should have answered. A conversation without a row has had no
-- agent since its deadline was set, and does not wait for one.
create table if not exists leadpipe.assignment_turns (
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

create index if not exists assignment_turns_since_idx on leadpipe.assignment_turns (quality, since) where since is not null;

create index if not exists assignment_turns_queue_idx on leadpipe.assignment_turns (quality, deadline) where queued_at is not null;

comment on column leadpipe.assignment_turns.is_released is 'True if a person has unassigned it after its deadline: it is not assigned automatically for this deadline.';

comment on column leadpipe.assignment_turns.quality is 'The quality whose response time the agent has.';

comment on column leadpipe.assignment_turns.deadline is 'The deadline of the conversation that had_by and moves belong to.';

comment on column leadpipe.assignment_turns.since is
  'When the response time of the agent of an overdue conversation began: 1970 if it has ended. Null if the conversation is not to be passed on.';

comment on column leadpipe.assignment_turns.queued_at is 'Since when a new lead waits for an agent before its deadline; null if it does not.';

comment on column leadpipe.assignment_turns.had_by is 'The agents that have had the conversation for this deadline, the latest last.';

comment on column leadpipe.assignment_turns.moves is 'How often it was passed on automatically for this deadline.';

comment on column leadpipe.assignment_turns.reason is 'Why it waits or stays with its agent, as the last decision says.';

alter table public.agents add column if not exists areas text[];

alter table public.agents add column if not exists languages text[];

alter table public.agents add column if not exists last_assigned_at timestamp with time zone;

-- Returns an agent as shown in the admin interface.
create or replace function leadpipe.agent_document(a public.agents) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', a.id, 'name', a.name, 'email', a.email, 'phone', a.phone, 'department', a.department,
    'languages', coalesce(to_jsonb(a.languages), '[]'), 'areas', coalesce(to_jsonb(a.areas), '[]'),
    'status', a.status, 'maxCapacity', a.max_capacity, 'openConversations', leadpipe.open_conversation_count(a.id),
    'lastAssignedAt', leadpipe.iso8601(a.last_assigned_at), 'createdAt', leadpipe.iso8601(a.created_at), 'updatedAt', leadpipe.iso8601(a.updated_at))
$$;

revoke all on function leadpipe.agent_document(public.agents) from public, anon, authenticated;

-- Returns the distinct texts of a list that an agent speaks or knows, in lower case if they are languages. Null if there are
-- none.
create or replace function leadpipe.agent_words(p jsonb, p_is_languages boolean) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select array_agg(word order by first) from (
    select case when p_is_languages then lower(each) else leadpipe.to_nfc(each) end as word, min(n) as first
    from jsonb_array_elements_text(nullif(p, 'null')) with ordinality as sent (each, n) group by 1) words
$$;

revoke all on function leadpipe.agent_words(jsonb, boolean) from public, anon, authenticated;

-- Adds an agent. Raises LP409 if the email address is in use.
create or replace function public.create_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
begin
  p := leadpipe.authorize(p, 'owner');
  insert into public.agents (name, email, phone, department, status, max_capacity, languages, areas)
  values (leadpipe.to_nfc(p ->> 'name'), lower(p ->> 'email'), p ->> 'phone', leadpipe.to_nfc(p ->> 'department'),
    coalesce(p ->> 'status', 'available'), coalesce((p ->> 'maxCapacity')::integer, 15), leadpipe.agent_words(p -> 'languages', true),
    leadpipe.agent_words(p -> 'areas', false))
  returning * into a;
  perform leadpipe.record_audit(p ->> 'by', 'agent.created', a.id::text);
  return leadpipe.agent_document(a);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'agent_email_taken';
end
$$;

revoke all on function public.create_agent(jsonb) from public, anon, authenticated;

grant execute on function public.create_agent(jsonb) to leadpipe_admin, service_role;

-- Returns all agents with their open conversations, for rank_agents. `p_locked` are the ids that this transaction has
-- locked; null if it locks none, and assigns nothing.
create or replace function leadpipe.agent_pool(p_locked uuid[] default null) returns jsonb
language sql volatile set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', a.id, 'name', a.name, 'status', a.status, 'capacity', a.max_capacity,
    'open', leadpipe.open_conversation_count(a.id), 'last', a.last_assigned_at, 'languages', a.languages, 'areas', a.areas,
    'isLocked', p_locked is null or a.id = any (p_locked)) order by a.id), '[]')
  from public.agents a
$$;

revoke all on function leadpipe.agent_pool(uuid[]) from public, anon, authenticated;

-- Returns a copy of a pool in which an agent has got some open conversations more or less.
create or replace function leadpipe.change_pool(p_pool jsonb, p_agent uuid, p_more integer, p_last timestamptz) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(case when a ->> 'id' = p_agent::text
    then a || jsonb_build_object('open', (a ->> 'open')::integer + p_more) || case when p_last is null then '{}' else jsonb_build_object('last', p_last) end
    else a end order by n), '[]')
  from jsonb_array_elements(p_pool) with ordinality as agents (a, n)
$$;

revoke all on function leadpipe.change_pool(jsonb, uuid, integer, timestamptz) from public, anon, authenticated;

-- Returns true if an agent of the pool has free capacity and is available. Whether it is locked does not matter.
create or replace function leadpipe.has_room(p_agent jsonb) returns boolean
language sql immutable set search_path = pg_catalog, pg_temp as
  $$ select p_agent ->> 'status' = 'available' and (p_agent ->> 'open')::integer < (p_agent ->> 'capacity')::integer $$;

revoke all on function leadpipe.has_room(jsonb) from public, anon, authenticated;

-- Returns why no agent of the pool can take a lead: no_agents, none_available or all_at_capacity. Null if one can.
create or replace function leadpipe.shortage(p_pool jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when p_pool = '[]' then 'no_agents' when not bool_or(a ->> 'status' = 'available') then 'none_available'
    when not bool_or(leadpipe.has_room(a)) then 'all_at_capacity' end
  from jsonb_array_elements(p_pool) as a
$$;

revoke all on function leadpipe.shortage(jsonb) from public, anon, authenticated;

-- Stores, unless the last decision says the same, why a locked conversation got no agent: it waits for one, or stays with
-- the one it has, which its timeline says.
create or replace function leadpipe.keep_lead(
  c public.conversations, p_cause text, p_reason text, p_language text, p_ranking jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
begin
  insert into leadpipe.assignment_turns as t (conversation_id, quality, deadline, reason)
  values (c.id, c.lead_quality, c.sla_response_deadline, p_reason)
  on conflict (conversation_id) do update set reason = excluded.reason where t.reason is distinct from excluded.reason;
  if not found then
    return;
  end if;
  select a.name into v_name from public.agents a where a.id = c.assigned_agent_id;
  perform leadpipe.store_decision(c.id, p_cause, p_reason, null, c.assigned_agent_id, jsonb_build_object(
    'agentNameBefore', v_name, 'language', p_language, 'candidates', p_ranking));
  if c.assigned_agent_id is not null then
    perform public.add_timeline_entry(c.id, 'assigned', 'Stays with ' || v_name,
      'Its agent has not answered in time, but ' || case p_reason
        when 'moved_enough' then 'it has been passed on often enough.' else 'no other agent can take it.' end,
      'system', null, null, jsonb_build_object('agentId', c.assigned_agent_id, 'reason', p_reason, 'automatic', true));
  end if;
end
$$;

revoke all on function leadpipe.keep_lead(public.conversations, text, text, text, jsonb) from public, anon, authenticated;

-- Returns the language of a conversation as a lower-case BCP 47 tag: `metadata.language` if the client sent it, `ar` if the
-- customer's name, notes or latest messages have Arabic letters. Null if it is unknown.
create or replace function leadpipe.lead_language(c public.conversations) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c_arabic constant text := '[\u0600-\u06FF\u0750-\u077F\u08A0-\u08FF\uFB50-\uFDFF\uFE70-\uFEFF]';
  v_sent text := lower(replace(c.metadata ->> 'language', '_', '-'));
begin
  if v_sent ~ '^[a-z]{2,3}(-[a-z0-9]{1,8}){0,4}$' then
    return v_sent;
  elsif coalesce(c.customer_name, '') ~ c_arabic or coalesce(c.notes, '') ~ c_arabic or exists (
    select from (select m.message_text from public.chat_messages m where m.conversation_id = c.id and m.sender = 'customer'
                 order by m."timestamp" desc, m.created_at desc limit 20) latest
    where latest.message_text ~ c_arabic) then
    return 'ar';
  end if;
  return null;
end
$$;

revoke all on function leadpipe.lead_language(public.conversations) from public, anon, authenticated;

-- Returns how a conversation is assigned: its `state` (answered, closed, assigned, overdue, not_due or waiting), the agent, since
-- when and how often it was passed on, the decisions, newest first, and, while it has no first response, the ranking of the
-- agents at this moment and why none of them can take it (`shortage`).
create or replace function leadpipe.assignment_document(c public.conversations) returns jsonb
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  t leadpipe.assignment_turns;
  v_pool jsonb;
  v_state text := case
    when c.first_response_at is not null then 'answered' when c.status not in ('new', 'in-progress') then 'closed'
    when c.assigned_agent_id is not null then case when c.sla_breached then 'overdue' else 'assigned' end
    when c.sla_breached then 'waiting' else 'not_due' end;
  v_is_open boolean := v_state not in ('answered', 'closed');
begin
  select * into t from leadpipe.assignment_turns o where o.conversation_id = c.id;
  v_pool := case when v_is_open then leadpipe.agent_pool() else '[]' end;
  return jsonb_build_object(
    'state', v_state, 'agentId', c.assigned_agent_id,
    'agentName', (select a.name from public.agents a where a.id = c.assigned_agent_id),
    'since', case when t.since > '1970-01-02' then leadpipe.iso8601(t.since) end,
    'passedOn', case when t.deadline is not distinct from c.sla_response_deadline then coalesce(t.moves, 0) else 0 end,
    'shortage', case when v_is_open then leadpipe.shortage(v_pool) end,
    'candidates', case when v_is_open then jsonb_path_query_array(leadpipe.rank_agents(v_pool, leadpipe.lead_language(c), c.preferred_area,
      c.assigned_agent_id, case when t.deadline is not distinct from c.sla_response_deadline then coalesce(t.had_by, '{}') else '{}' end),
      '$[0 to 49]') else '[]' end,
    'decisions', (
      select coalesce(jsonb_agg(jsonb_build_object('id', d.id, 'at', leadpipe.iso8601(d.created_at), 'cause', d.cause, 'reason', d.reason,
        'agentId', d.agent_id, 'agentName', d.facts -> 'agentName', 'agentIdBefore', d.agent_id_before,
        'agentNameBefore', d.facts -> 'agentNameBefore', 'language', d.facts -> 'language', 'agents', d.facts -> 'agents',
        'candidates', d.facts -> 'candidates') order by d.created_at desc, d.id desc), '[]')
      from leadpipe.assignment_decisions d where d.conversation_id = c.id));
end
$$;

revoke all on function leadpipe.assignment_document(public.conversations) from public, anon, authenticated;

-- Returns how a conversation is assigned; see assignment_document.
create or replace function public.list_assignments(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object('id', c.id) || leadpipe.assignment_document(c);
end
$$;

revoke all on function public.list_assignments(jsonb) from public, anon, authenticated;

grant execute on function public.list_assignments(jsonb) to leadpipe_admin, service_role;

-- Returns the words of an area in lower case, with a space before and after each, so that a part of a word matches none.
create or replace function leadpipe.area_words(p_area text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as
  $$ select ' ' || btrim(regexp_replace(lower(p_area), '[\s,;/|()+&._-]+', ' ', 'g')) || ' ' $$;

revoke all on function leadpipe.area_words(text) from public, anon, authenticated;

-- Ranks the agents of a pool for a lead, the best first: those who speak its language (or, next, have no languages),
-- those who know its area, then fewest open leads, longest without a new lead, and id. `why` says why an agent cannot
-- take it: its status, has_it, at_capacity, had_it, being_changed; null if it can. An agent who had a lead that is passed
-- on gets it again only if all available agents have had it. One without an agent goes to those last.
create or replace function leadpipe.rank_agents(
  p_pool jsonb, p_language text, p_area text, p_current uuid, p_had_by uuid[]) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  with agent as (
    select a, (a ->> 'id')::uuid as id, (a ->> 'open')::integer as open, (a ->> 'last')::timestamptz as last,
      (a ->> 'id')::uuid = any (p_had_by) as had,
      -- `ar` and `ar-ae` match: the first subtags are equal.
      case when p_language is null or coalesce(jsonb_array_length(nullif(a -> 'languages', 'null')), 0) = 0 then 1
        when exists (select from jsonb_array_elements_text(a -> 'languages') l where split_part(l, '-', 1) = split_part(p_language, '-', 1)) then 2
        else 0 end as speaks,
      case when p_area is null or coalesce(jsonb_array_length(nullif(a -> 'areas', 'null')), 0) = 0 then 1
        when exists (select from jsonb_array_elements_text(a -> 'areas') l
                     where strpos(leadpipe.area_words(p_area), leadpipe.area_words(l)) > 0) then 2
        else 0 end as knows
    from jsonb_array_elements(p_pool) as a
  ), judged as (
    select agent.*, case when a ->> 'status' <> 'available' then a ->> 'status' when id = p_current then 'has_it'
      when not leadpipe.has_room(a) then 'at_capacity'
      when p_current is not null and had and exists (
        select from agent o where o.a ->> 'status' = 'available' and not o.had and o.id <> p_current) then 'had_it'
      when not (a ->> 'isLocked')::boolean then 'being_changed' end as why
    from agent
  )
  select coalesce(jsonb_agg(jsonb_build_object('agentId', id, 'agentName', a -> 'name', 'status', a -> 'status', 'open', open,
      'capacity', a -> 'capacity', 'lastAssignedAt', leadpipe.iso8601(last), 'speaksLanguage', case speaks when 2 then true when 0 then false end,
      'knowsArea', case knows when 2 then true when 0 then false end, 'hadIt', had, 'why', why)
    order by why is null desc, case when p_current is null then had end, speaks desc, knows desc, open, last nulls first, id), '[]')
  from judged
$$;

revoke all on function leadpipe.rank_agents(jsonb, text, text, uuid, uuid[]) from public, anon, authenticated;

-- Returns what decided between the first two agents of a ranking: only_one, not_had, language, area, fewest_open or
-- longest_unserved.
create or replace function leadpipe.ranking_reason(p_ranking jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_ranking -> 1 is null or p_ranking #>> '{1,why}' is not null then 'only_one'
    when p_ranking #>> '{0,hadIt}' < p_ranking #>> '{1,hadIt}' then 'not_had'
    when p_ranking #> '{0,speaksLanguage}' <> p_ranking #> '{1,speaksLanguage}' then 'language'
    when p_ranking #> '{0,knowsArea}' <> p_ranking #> '{1,knowsArea}' then 'area'
    when p_ranking #> '{0,open}' <> p_ranking #> '{1,open}' then 'fewest_open'
    else 'longest_unserved' end
$$;

revoke all on function leadpipe.ranking_reason(jsonb) from public, anon, authenticated;

-- Stores a decision about a conversation and returns its id. Keeps the latest 20 of the conversation, each with the first
-- 50 of its candidates.
create or replace function leadpipe.store_decision(
  p_conversation uuid, p_cause text, p_reason text, p_agent uuid, p_before uuid, p_facts jsonb) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
begin
  insert into leadpipe.assignment_decisions (conversation_id, cause, reason, agent_id, agent_id_before, facts)
  values (p_conversation, p_cause, p_reason, p_agent, p_before, jsonb_strip_nulls(p_facts - 'candidates') || jsonb_build_object(
    'agents', jsonb_array_length(p_facts -> 'candidates'), 'candidates', jsonb_path_query_array(p_facts, '$.candidates[0 to 49]')))
  returning id into v_id;
  delete from leadpipe.assignment_decisions d where d.id in (
    select o.id from leadpipe.assignment_decisions o where o.conversation_id = p_conversation
    order by o.created_at desc, o.id desc offset 20);
  return v_id;
end
$$;

revoke all on function leadpipe.store_decision(uuid, text, text, uuid, uuid, jsonb) from public, anon, authenticated;

-- Returns at most `p_most` new leads that wait for an agent before their deadline, in the same order.
create or replace function leadpipe.queued_leads(p_most integer) returns table (id uuid, quality text, deadline timestamptz)
language plpgsql stable rows 50 set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    return query
      select t.conversation_id, t.quality, t.deadline from leadpipe.assignment_turns t
      where t.queued_at is not null and t.quality = v_quality order by t.deadline limit p_most;
  end loop;
end
$$;

revoke all on function leadpipe.queued_leads(integer) from public, anon, authenticated;

-- Returns at most `p_most` conversations whose agents have had the response time: `p_served` has, for each quality, the
-- time before which such a turn began.
create or replace function leadpipe.ended_turns(p_served jsonb, p_most integer) returns table (id uuid, quality text, deadline timestamptz)
language plpgsql stable rows 50 set search_path = pg_catalog, pg_temp as $$
declare
  v_quality text;
begin
  foreach v_quality in array '{hot,warm,cold}'::text[] loop
    return query
      select t.conversation_id, t.quality, t.deadline from leadpipe.assignment_turns t
      where t.since is not null and t.quality = v_quality and t.since <= (p_served ->> v_quality)::timestamptz order by t.since limit p_most;
  end loop;
end
$$;

revoke all on function leadpipe.ended_turns(jsonb, integer) from public, anon, authenticated;

-- Returns the facts that explain a conversation's state: the conversation, the times of its first 200 lead.updated
-- events, its newest 50 deliveries and its newest 20 events that have none but should, both as returned by
-- show_delivery, how it is assigned, and its next follow-up.
create or replace function public.explain_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  p := leadpipe.authorize(p, 'read');
  c := leadpipe.require_conversation(p);
  return jsonb_build_object(
    'now', leadpipe.iso8601(clock_timestamp()),
    'conversation', leadpipe.conversation_document(c, p) || jsonb_build_object('metadata', leadpipe.shown(c.metadata)),
    'additions', (
      select coalesce(jsonb_agg(leadpipe.iso8601(e.created_at) order by e.created_at), '[]')
      from (select e.created_at from public.lead_events e where e.conversation_id = c.id and e.event_type = 'lead.updated'
            order by e.created_at limit 200) e),
    'deliveries', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', d.id)) order by d.created_at, d.id), '[]')
      from (select d.id, d.created_at from public.notification_logs d where d.conversation_id = c.id
            order by d.created_at desc, d.id desc limit 50) d),
    'undelivered', (
      select coalesce(jsonb_agg(public.show_delivery(jsonb_build_object('id', e.id)) order by e.created_at, e.id), '[]')
      from (select e.id, e.created_at from public.lead_events e
            where e.conversation_id = c.id and leadpipe.event_notifies(e.event_type, e.payload)
              and not exists (select from public.notification_logs d where d.lead_event_id = e.id)
            order by e.created_at desc, e.id desc limit 20) e),
    'assignment', leadpipe.assignment_document(c),
    'followUp', (
      select jsonb_build_object('id', f.id, 'at', leadpipe.iso8601(f.follow_up_date), 'reminderType', f.reminder_type)
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status not in ('completed', 'cancelled')
      order by f.follow_up_date, f.id limit 1));
end
$$;

revoke all on function public.explain_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.explain_conversation(jsonb) to leadpipe_admin, service_role;

-- True if an event causes notifications: a new lead, a reopened conversation, new contact details of an answered lead, a lead whose
-- customer has made it hotter, a subscription, or a deadline or an automatic assignment that no other event sums up. All other events are marked as processed when they are added.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.event_notifies(p_event_type public.lead_event_type, p_payload jsonb) returns boolean language sql stable as
  $$ select p_event_type::text in ('lead.created', 'newsletter.subscribed')
       or p_event_type::text in ('sla.warning', 'sla.breached') and not p_payload ? 'isSummedUp'
       or p_event_type::text = 'lead.updated' and p_payload ?| '{reopenedFrom,contactBefore}'
       or p_event_type::text = 'lead.qualified' and p_payload ? 'risenFrom'
       or p_event_type::text = 'lead.assigned' and p_payload ? 'automatic' and not p_payload ? 'isSummedUp' $$;

revoke all on function leadpipe.event_notifies(public.lead_event_type, jsonb) from public, anon, authenticated;

-- Deletes finished rows older than `days`, in one small batch: events with their deliveries and attempts, attempts
-- without a delivery, decisions about assignments, and workers that have stopped. Also deletes idempotency keys older than 7 days, those made from
-- the content after an hour, and expired rate counts: they no longer have any effect. Without `days`, deletes only
-- these. Unfinished rows are kept, however old. Deletes at most about `batch` rows per call (default and maximum 1,000)
-- and 10,000 rate counts, in statements that take milliseconds. `isComplete` is true when nothing is left. Locked rows
-- are left for another call.
create or replace function public.prune(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  v_batch integer := least(greatest(coalesce((p ->> 'batch')::integer, 1000), 10), 1000);
  v_before timestamptz := clock_timestamp() - make_interval(days => (p ->> 'days')::integer);
  v_type public.lead_event_type;
  v_old uuid[] := '{}';
  v_gone uuid[];
  v_events integer := 0;
  v_deliveries integer := 0;
  v_attempts integer := 0;
  v_orphans integer := 0;
  v_decisions integer := 0;
  v_keys integer;
  v_now constant bigint := leadpipe.unix_milliseconds();
begin
  with old as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys where created_at < clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1),
  repeats as (
    delete from public.idempotency_keys where (route, key) in (
      select route, key from public.idempotency_keys
      where starts_with(key, 'repeat ') and created_at < clock_timestamp() - interval '1 hour'
        and created_at >= clock_timestamp() - interval '7 days'
      order by created_at limit v_batch / 8 for update skip locked)
    returning 1)
  select (select count(*) from old) + (select count(*) from repeats) into v_keys;

  if v_before is not null then
    -- An event has about three deliveries with their attempts.
    -- An event is never finished before it was added: the first condition lets the planner use the index.
    foreach v_type in array enum_range(null::public.lead_event_type) loop
      v_old := v_old || array(
        select e.id from public.lead_events e
        where e.event_type = v_type and e.created_at < v_before and e.processed and e.processed_at < v_before
          and not exists (select from public.notification_logs d
                          where d.lead_event_id = e.id and d.due_at is not null)
        order by e.created_at, e.id limit v_batch / 10 - cardinality(v_old) for update of e skip locked);
    end loop;
    if v_old <> '{}' then
      -- By ids: with a join, the planner might scan all attempts.
      select array_agg(d.id) into v_gone from public.notification_logs d where d.lead_event_id = any (v_old);
      delete from public.notification_attempts a where a.delivery = any (v_gone);
      get diagnostics v_attempts = row_count;
      delete from public.notification_logs d where d.lead_event_id = any (v_old);
      get diagnostics v_deliveries = row_count;
      delete from public.lead_events e where e.id = any (v_old);
      get diagnostics v_events = row_count;
    end if;
    -- Attempts whose deliveries were deleted with their conversation.
    delete from public.notification_attempts a where (a.delivery, a.fence) in (
      select o.delivery, o.fence from public.notification_attempts o
      where o.started_at < v_before and not exists (select from public.notification_logs d where d.id = o.delivery)
      order by o.started_at limit v_batch / 4 for update skip locked);
    get diagnostics v_orphans = row_count;
    delete from leadpipe.assignment_decisions where id in (
      select a.id from leadpipe.assignment_decisions a where a.created_at < v_before
      order by a.created_at limit v_batch / 4 for update skip locked);
    get diagnostics v_decisions = row_count;
    delete from public.workers where name in (
      select w.name from public.workers w where w.last_seen < v_before order by w.name for update skip locked);
  end if;
  -- Last, because a returning client waits for the lock of its row. Expired rows also make room when new clients arrive. These are of a limit that nobody uses any more.
  delete from leadpipe.rate_counts where (rate, key) in (
    select c.rate, c.key from leadpipe.rate_counts c where c.ends < v_now limit 10000 for update skip locked);
  return jsonb_build_object('events', v_events, 'deliveries', v_deliveries, 'attempts', v_attempts + v_orphans,
    'idempotencyKeys', v_keys,
    'isComplete', v_events < v_batch / 10 and v_orphans < v_batch / 4 and v_decisions < v_batch / 4 and v_keys < v_batch / 8);
end
$$;

revoke all on function public.prune(jsonb) from public, anon, authenticated;

grant execute on function public.prune(jsonb) to leadpipe_worker, service_role;

-- Emits what is due of the events sla.warning and sla.breached, in one small batch: at most `batch` of each (default 100,
-- at most 500). Each is emitted once for a conversation and deadline, and only while the conversation is open and has no
-- first response. `warnBefore` has a time for each quality: a conversation is warned of a deadline at or before it.
-- Without it, only breaches are emitted, and the call is not complete: its reply has the time of the database, from which
-- the caller calculates `warnBefore`. `conversations.sla_breached` is set with the breach.
--
-- Not every event notifies. `ownPerMinute` (default 20) events can have a notification of their own at once, and as many
-- a minute on average; and only breaches that are no older than `ownForSeconds` (default 3600). One event without a conversation sums up the
-- others when nothing is left to emit, and no sooner than a minute after the last such event.
--
-- Returns the time of the database (`now`), how many events were emitted (`warned`, `breached`) and how many of them are
-- summed up (`summedUp`), whether this call emitted a summary (`isSummary`), whether nothing is left (`isComplete`), the
-- earliest deadlines that have not been warned of (`unwarned`, by quality) and that have been (`warnedOf`), and when a
-- summary is due (`summaryAt`). One call works at a time; the others return `isBusy` at once.
create or replace function public.sweep_sla(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_qualities constant text[] := '{hot,warm,cold}';
  v_batch constant integer := least(greatest(coalesce((p ->> 'batch')::integer, 100), 1), 500);
  v_most constant integer := greatest(coalesce((p ->> 'ownPerMinute')::integer, 20), 0);
  v_own_for constant interval := make_interval(secs => greatest(coalesce((p ->> 'ownForSeconds')::integer, 3600), 0));
  v_now timestamptz;
  s leadpipe.sla_sweep;
  v_quality text;
  v_is_warned boolean;
  v_late uuid[] := '{}';
  v_near uuid[] := '{}';
  v_breaches record;
  v_warnings record;
  v_left double precision;
  v_is_complete boolean;
  v_is_summary boolean := false;
begin
  perform leadpipe.check_size(p, 4096);
  if to_regclass('public.lead_events') is null or to_regclass('public.conversation_timeline') is null then
    return jsonb_build_object('now', leadpipe.iso8601(clock_timestamp()), 'warned', 0, 'breached', 0, 'summedUp', 0,
      'isSummary', false, 'isBusy', false, 'isComplete', true, 'unwarned', '{}'::jsonb, 'warnedOf', null, 'summaryAt', null);
  end if;
  insert into leadpipe.sla_sweep (is_only) select true where not exists (select from leadpipe.sla_sweep) on conflict do nothing;
  select * into s from leadpipe.sla_sweep for no key update skip locked;
  v_now := clock_timestamp();
  if not found then
    return jsonb_build_object('now', leadpipe.iso8601(v_now), 'warned', 0, 'breached', 0, 'summedUp', 0,
      'isSummary', false, 'isBusy', true, 'isComplete', false, 'unwarned', '{}'::jsonb, 'warnedOf', null, 'summaryAt', null);
  end if;

  foreach v_is_warned in array '{t,f}'::boolean[] loop
    foreach v_quality in array c_qualities loop
      v_late := v_late || leadpipe.due_deadlines(v_is_warned, v_quality, tstzrange('-infinity', v_now), v_batch - cardinality(v_late));
    end loop;
  end loop;
  foreach v_quality in array c_qualities loop
    if (p #>> array['warnBefore', v_quality])::timestamptz > v_now then
      v_near := v_near || leadpipe.due_deadlines(false, v_quality,
        tstzrange(v_now, (p #>> array['warnBefore', v_quality])::timestamptz), v_batch - cardinality(v_near));
    end if;
  end loop;
  v_is_complete := p ? 'warnBefore' and cardinality(v_late) < v_batch and cardinality(v_near) < v_batch;

  -- A minute gives back all. If the clock was set back, the difference is negative.
  v_left := case when s.own_at = '-infinity' or s.own_at > v_now then v_most
    else least(s.own_left + v_most * extract(epoch from v_now - s.own_at) / 60, v_most) end;
  select * into v_breaches from leadpipe.announce_deadlines('sla.breached', v_late, floor(v_left)::integer, v_now - v_own_for, v_now);
  update public.conversations c set sla_breached = true where c.id = any (v_late);
  perform leadpipe.end_turns(v_late);
  select * into v_warnings from leadpipe.announce_deadlines('sla.warning', v_near, floor(v_left)::integer - v_breaches.own, '-infinity', v_now);
  update public.conversations c set sla_warned_for = c.sla_response_deadline where c.id = any (v_near);

  s.warned := s.warned + v_warnings.summed;
  s.breached := s.breached + v_breaches.summed;
  s.oldest := least(s.oldest, v_breaches.oldest);
  if v_breaches.own + v_warnings.own > 0 then
    s.own_left := v_left - v_breaches.own - v_warnings.own;
    s.own_at := v_now;
  end if;
  if v_is_complete and s.warned + s.breached > 0
      and (s.summed_at <= v_now - interval '1 minute' or s.summed_at > v_now) then
    perform public.emit_lead_event(case when s.breached > 0 then 'sla.breached' else 'sla.warning' end::public.lead_event_type, null,
      jsonb_strip_nulls(jsonb_build_object('sumsUp', s.warned + s.breached, 'breached', s.breached, 'warned', s.warned,
        'oldestDeadline', leadpipe.iso8601(s.oldest))));
    s.warned := 0;
    s.breached := 0;
    s.oldest := null;
    s.summed_at := v_now;
    v_is_summary := true;
  end if;
  if cardinality(v_late) + cardinality(v_near) > 0 or v_is_summary then
    update leadpipe.sla_sweep w set own_left = s.own_left, own_at = s.own_at, warned = s.warned, breached = s.breached,
      oldest = s.oldest, summed_at = s.summed_at
    where w.is_only;
  end if;

  return jsonb_build_object(
    'now', leadpipe.iso8601(v_now), 'warned', v_warnings.own + v_warnings.summed, 'breached', v_breaches.own + v_breaches.summed,
    'summedUp', v_warnings.summed + v_breaches.summed, 'isSummary', v_is_summary, 'isBusy', false, 'isComplete', v_is_complete,
    'unwarned', (select jsonb_object_agg(q, leadpipe.iso8601(leadpipe.next_deadline(false, q))) from unnest(c_qualities) q),
    'warnedOf', (select leadpipe.iso8601(min(leadpipe.next_deadline(true, q))) from unnest(c_qualities) q),
    'summaryAt', case when s.warned + s.breached > 0 then leadpipe.iso8601(greatest(s.summed_at + interval '1 minute', v_now)) end);
end
$$;

revoke all on function public.sweep_sla(jsonb) from public, anon, authenticated;

grant execute on function public.sweep_sla(jsonb) to leadpipe_worker, service_role;

CREATE INDEX IF NOT EXISTS conversations_open_agent_idx ON public.conversations USING btree (assigned_agent_id) WHERE ((assigned_agent_id IS NOT NULL) AND (status = ANY (ARRAY['new'::text, 'in-progress'::text])));

CREATE INDEX IF NOT EXISTS conversations_waiting_idx ON public.conversations USING btree (lead_quality, sla_response_deadline) WHERE (sla_breached AND (assigned_agent_id IS NULL) AND (first_response_at IS NULL) AND (status <> ALL (ARRAY['completed'::text, 'lost'::text, 'converted'::text])));

create or replace trigger agents_updated_at BEFORE UPDATE ON public.agents FOR EACH ROW WHEN ((NOT (old.last_assigned_at IS DISTINCT FROM new.last_assigned_at))) EXECUTE FUNCTION public.update_updated_at_column();

comment on column public.agents.areas is 'The areas that the agent knows; null if unknown.';

comment on column public.agents.languages is 'The languages that the agent speaks, as lower-case BCP 47 tags; null if unknown.';

comment on column public.agents.last_assigned_at is 'When the agent last got a lead; null if never.';
