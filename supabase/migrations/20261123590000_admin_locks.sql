-- One order of locks for all that work with leads: the agent, then conversations by id, then follow-ups by id. A row that names an agent
-- locks him too, and who deletes him changes all rows that name him: both are held in this order before. Replaces two functions of
-- 20261123560000, which runs before it. Additive, and may be run again as a whole at any time.

create or replace function public.create_follow_up(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_agent uuid;
  c public.conversations;
  f record;
begin
  p := public.admitted(p, 'write');
  if p ? 'assignedAgentId' then
    v_agent := (public.held_agent((p ->> 'assignedAgentId')::uuid)).id;
  else
    -- Whose lead it is when this is asked; nobody's where he is deleted meanwhile.
    select a.id into v_agent from public.agents a
    where a.id = (select s.assigned_agent_id from public.conversations s where s.id = (p ->> 'id')::uuid) for key share;
  end if;
  c := public.held_conversation(p);
  insert into public.follow_up_tasks (conversation_id, assigned_agent_id, follow_up_date, reminder_type, reminder_text, priority)
  values (c.id, v_agent, (p ->> 'followUpDate')::timestamptz,
    p ->> 'reminderType', public.nfc(p ->> 'reminderText'), coalesce(p ->> 'priority', 'medium'))
  returning * into f;
  perform public.note_next_follow_up(c.id);
  perform public.tell(c.id, p ->> 'by', 'follow_up_scheduled', public.follow_up_words(f.reminder_type, f.follow_up_date), f.reminder_text,
    'lead.follow_up_scheduled', jsonb_build_object('followUpId', f.id, 'followUpDate', public.iso8601(f.follow_up_date),
      'reminderType', f.reminder_type, 'priority', f.priority));
  return public.follow_up_document(to_jsonb(f));
end
$$;

-- With open conversations only on `force`: they are nobody's then, and their timeline says so.
create or replace function public.delete_agent(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_open uuid[];
begin
  p := public.admitted(p, 'owner');
  select * into a from public.agents where id = (p ->> 'id')::uuid for update;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such agent';
  end if;
  -- The closed ones too: they are to name nobody.
  select array_agg(id) filter (where status in ('new', 'in-progress')) into v_open from (
    select c.id, c.status from public.conversations c where c.assigned_agent_id = a.id order by c.id for no key update) held;
  if v_open is not null and not coalesce((p ->> 'force')::boolean, false) then
    raise exception using errcode = 'LP409', message = format('the agent has %s open conversations: assign them to others first, or force it', cardinality(v_open));
  end if;
  -- After the clean-up there are no follow-ups.
  if to_regclass('public.follow_up_tasks') is not null then
    perform from public.follow_up_tasks f where f.assigned_agent_id = a.id order by f.id for no key update;
  end if;
  delete from public.agents where id = a.id;
  perform public.tell(id, p ->> 'by', 'assigned', 'Assigned to nobody', a.name || ' is no agent any more', 'lead.updated',
    jsonb_build_object('agentIdBefore', a.id))
  from unnest(v_open) as id;
  return '{}';
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_function('public.create_follow_up(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.delete_agent(jsonb)', 'leadpipe_admin');
end
$$;
