-- Repeats the merges of the latest day, and what was undone in it, for leads that captures have stored meanwhile: a capture
-- reads the customer of a phone number without a lock, so it may store a lead of a customer who has just been merged into
-- another. Deletes merges that are older than 30 days, which cannot be undone any more. Call it under lock_persons.
create or replace function leadpipe.settle_merges() returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off as $$
declare
  v_now constant timestamptz := clock_timestamp();
  m leadpipe.customer_merges;
  v_ids uuid[];
begin
  delete from leadpipe.customer_merges where created_at < v_now - interval '30 days';
  for m in
    select * from leadpipe.customer_merges
    where greatest(created_at, undone_at) > v_now - interval '1 day' and erased_at is null order by created_at, id
  loop
    if m.undone_at is not null then
      if not exists (
        select from leadpipe.customer_merges l where l.merged = m.merged and l.undone_at is null and l.erased_at is null) then
        perform leadpipe.return_conversations(m.id);
      end if;
      continue;
    end if;
    v_ids := array(select c.id from public.conversations c where c.customer_id = m.merged order by c.id for no key update);
    continue when v_ids = '{}' and not exists (select from public.customer_identities i where i.customer_id = m.merged);
    insert into leadpipe.merged_rows (merge, kind, value, customer_id)
    select m.id, 'conversation', id::text, m.merged from unnest(v_ids) as id on conflict do nothing;
    update public.conversations c set customer_id = m.kept where c.id = any (v_ids) and c.customer_id = m.merged;
    with moved as (
      update public.customer_identities i set customer_id = m.kept where i.customer_id = m.merged returning i.kind, i.value)
    insert into leadpipe.merged_rows (merge, kind, value, customer_id)
    select m.id, kind, value, m.merged from moved on conflict do nothing;
  end loop;
end
$$;
revoke all on function leadpipe.settle_merges() from public, anon, authenticated;
