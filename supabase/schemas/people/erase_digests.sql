-- Returns the digests of agents that have a line about one of these conversations.
create or replace function leadpipe.digests_about(p_ids uuid[]) returns setof uuid
language sql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
  select e.id from public.lead_events e
  where e.event_type = 'agent.digest' and jsonb_path_query_array(e.payload, '$.lines[*].conversationId') ?| p_ids::text[]
$$;
revoke all on function leadpipe.digests_about(uuid[]) from public, anon, authenticated;

-- Removes the lines about conversations from the digests of agents, which the caller has locked.
create or replace function leadpipe.erase_digests(p_digests uuid[], p_ids uuid[], p_now timestamptz) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update public.lead_events e set updated_at = p_now, payload = jsonb_set(e.payload, '{lines}', (
    select coalesce(jsonb_agg(line.value order by line.ordinality), '[]')
    from jsonb_array_elements(e.payload -> 'lines') with ordinality as line
    where (line.value ->> 'conversationId')::uuid <> all (p_ids)))
  where e.id = any (p_digests)
$$;
revoke all on function leadpipe.erase_digests(uuid[], uuid[], timestamptz) from public, anon, authenticated;
