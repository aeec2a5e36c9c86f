-- Removes the lines about conversations from the digests of agents. The caller has locked the conversations, so that no
-- digest about them can be added meanwhile.
create or replace function leadpipe.erase_digests(p_ids uuid[], p_now timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  update public.lead_events e set updated_at = p_now, payload = jsonb_set(e.payload, '{lines}', (
    select coalesce(jsonb_agg(line.value order by line.ordinality), '[]')
    from jsonb_array_elements(e.payload -> 'lines') with ordinality as line
    where (line.value ->> 'conversationId')::uuid <> all (p_ids)))
  where e.event_type = 'agent.digest' and exists (
    select from jsonb_array_elements(e.payload -> 'lines') as line where (line.value ->> 'conversationId')::uuid = any (p_ids));
end
$$;
revoke all on function leadpipe.erase_digests(uuid[], timestamptz) from public, anon, authenticated;
