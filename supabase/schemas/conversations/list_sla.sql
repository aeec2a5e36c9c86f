-- GET /api/admin/sla: conversations whose first response is late or due soon, earliest deadline first, and how many overdue
-- ones have no agent (at most 1,000 are counted).
create or replace function public.list_sla(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set jit = off set max_parallel_workers_per_gather = 0 as $$
declare
  c_exact constant integer := 10000;
  -- The first conditions match the partial index on open deadlines.
  c_waiting constant text := 'from public.conversations t where t.first_response_at is null '
    'and t.status not in (''completed'', ''lost'', ''converted'') and t.sla_response_deadline <= greatest(($1).now, ($1).warn_hot, ($1).warn_warm, '
    '($1).warn_cold) and (t.sla_response_deadline <= ($1).now or t.sla_response_deadline <= case t.lead_quality when ''hot'' then ($1).warn_hot '
    'when ''warm'' then ($1).warn_warm else ($1).warn_cold end)';
  v_limit integer := coalesce((p ->> 'limit')::integer, 25);
  f leadpipe.conversation_search;
  v_place jsonb;
  v_ids uuid[];
  v_expected double precision;
  v_total bigint;
begin
  p := leadpipe.authorize(p, 'read');
  f.now := now();
  f.warn_hot := (p #>> '{warnBefore,hot}')::timestamptz;
  f.warn_warm := (p #>> '{warnBefore,warm}')::timestamptz;
  f.warn_cold := (p #>> '{warnBefore,cold}')::timestamptz;
  v_place := leadpipe.cursor_position('sla-list', p ->> 'cursor');
  f.after_time := (v_place ->> 'at')::timestamptz;
  f.after_id := (v_place ->> 'id')::uuid;

  execute 'select array(select t.id ' || c_waiting
    || case when v_place is not null then ' and (t.sla_response_deadline, t.id) > (($1).after_time, ($1).after_id)' else '' end
    || ' order by t.sla_response_deadline, t.id limit $2)' into v_ids using f, v_limit + 1;
  v_expected := leadpipe.estimate_rows('select ' || c_waiting, f);
  if v_expected <= 2 * c_exact then
    execute 'select count(*) from (select ' || c_waiting || ' limit $2) counted' into v_total using f, c_exact + 1;
    v_total := nullif(v_total, c_exact + 1);
  end if;
  return jsonb_build_object(
    'data', (select coalesce(jsonb_agg(leadpipe.conversation_document(c, p) || jsonb_build_object(
               'minutesRemaining', floor(extract(epoch from c.sla_response_deadline - f.now) / 60)) order by n), '[]')
             from unnest(v_ids[:v_limit]) with ordinality as found (id, n) join public.conversations c on c.id = found.id),
    'total', coalesce(v_total, greatest(round(v_expected)::bigint, c_exact + 1)), 'totalIsEstimate', v_total is null,
    'waitingForAgent', (
      -- The conditions match the index conversations_waiting_idx.
      select count(*) from (
        select from public.conversations c
        where c.sla_breached and c.assigned_agent_id is null and c.first_response_at is null
          and c.status not in ('completed', 'lost', 'converted') limit 1000) waiting),
    'limit', v_limit, 'nextCursor', (
      select leadpipe.row_cursor('sla-list', c.sla_response_deadline, c.id) from public.conversations c
      where c.id = v_ids[v_limit] and cardinality(v_ids) > v_limit));
end
$$;
revoke all on function public.list_sla(jsonb) from public, anon, authenticated;
grant execute on function public.list_sla(jsonb) to leadpipe_admin, service_role;
