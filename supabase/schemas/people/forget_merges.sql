-- Removes conversations, phone numbers and email addresses from the merges. A merge that has lost rows of the customer who
-- was merged cannot be undone any more.
create or replace function leadpipe.forget_merges(p_conversations uuid[], p_phones text[], p_emails text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_merges uuid[];
begin
  with gone as (
    delete from leadpipe.merged_rows r
    where (r.kind = 'conversation' and r.value = any (p_conversations::text[])) or (r.kind = 'phone' and r.value = any (p_phones))
      or (r.kind = 'email' and r.value = any (p_emails))
    returning r.merge)
  select array_agg(distinct merge) into v_merges from gone;
  update leadpipe.customer_merges m set erased_at = clock_timestamp()
  where m.id = any (v_merges) and m.undone_at is null and m.erased_at is null;
end
$$;
revoke all on function leadpipe.forget_merges(uuid[], text[], text[]) from public, anon, authenticated;
