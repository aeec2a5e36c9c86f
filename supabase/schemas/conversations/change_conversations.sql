-- Applies `change` to the conversations in `ids`. `change` has the fields of update_conversation and can also have
-- `agentId` and `force`; `agentId` in `clear` unassigns. A failure for one conversation is reported in its result and does not stop the others.
create or replace function public.change_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_change jsonb;
  a public.agents;
  c public.conversations;
  v_id uuid;
  v_changed boolean;
  v_arguments text;
  v_results jsonb := '{}';
begin
  p := leadpipe.authorize(p, 'write');
  v_change := p -> 'change' || coalesce(jsonb_build_object('slaDeadlines', p -> 'slaDeadlines'), '{}');
  if v_change ? 'agentId' then
    a := leadpipe.lock_agent((v_change ->> 'agentId')::uuid);
  end if;
  for v_id in select distinct value::uuid as id from jsonb_array_elements_text(p -> 'ids') order by id loop
    begin
      c := leadpipe.lock_conversation(jsonb_build_object('id', v_id));
      v_changed := leadpipe.apply_changes(c, v_change, p ->> 'by');
      if a.id is not null then
        v_changed := leadpipe.assign_to_agent(leadpipe.lock_conversation(jsonb_build_object('id', v_id)), a, p ->> 'by',
          coalesce((v_change ->> 'force')::boolean, false)) or v_changed;
      elsif v_change -> 'clear' ? 'agentId' then
        v_changed := leadpipe.unassign(leadpipe.lock_conversation(jsonb_build_object('id', v_id)), p ->> 'by') or v_changed;
      end if;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', 200, 'changed', v_changed));
    exception when sqlstate 'LP404' or sqlstate 'LP409' or sqlstate 'LP400' then
      get stacked diagnostics v_arguments = pg_exception_detail;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', right(sqlstate, 3)::integer,
        'changed', false, 'code', sqlerrm, 'arguments', coalesce(nullif(v_arguments, ''), '{}')::jsonb));
    end;
  end loop;
  return jsonb_build_object(
    'changed', (select count(*) from jsonb_each(v_results) r where (r.value ->> 'changed')::boolean),
    'failed', (select count(*) from jsonb_each(v_results) r where r.value ->> 'status' <> '200'),
    -- In the order of the request.
    'results', (select jsonb_agg(v_results -> value order by first)
                from (select value, min(i) as first from jsonb_array_elements_text(p -> 'ids') with ordinality as asked (value, i)
                      group by value) asked));
end
$$;
revoke all on function public.change_conversations(jsonb) from public, anon, authenticated;
grant execute on function public.change_conversations(jsonb) to leadpipe_admin, service_role;
