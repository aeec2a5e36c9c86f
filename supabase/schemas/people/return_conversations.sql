-- Gives the conversations that were stored since a merge with a phone number of the merged customer, or with such an email
-- address and without a phone number of the kept customer, to the merged customer. Returns how many. Phone numbers and
-- email addresses that came with them, and that no conversation of the kept customer has, go with them.
create or replace function leadpipe.return_conversations(p_merge uuid) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  m leadpipe.customer_merges;
  v_ids uuid[];
begin
  select * into m from leadpipe.customer_merges where id = p_merge;
  v_ids := array(
    select c.id from public.conversations c
    -- A capture that began before the merge may have read its result.
    where c.customer_id = m.kept and c.created_at >= m.created_at - interval '15 seconds'
      and not exists (select from leadpipe.merged_rows r where r.merge = m.id and r.kind = 'conversation' and r.value = c.id::text)
      and exists (
        select from leadpipe.merged_rows r
        where r.merge = m.id and not r.is_kept
          and ((r.kind = 'phone' and r.value = c.customer_phone)
            or (r.kind = 'email' and r.value = lower(c.customer_email) and not exists (
              select from public.conversations o
              where o.customer_id = m.kept and o.customer_phone = c.customer_phone and o.created_at < m.created_at))))
    order by c.id for no key update);
  if v_ids = '{}' then
    return 0;
  end if;
  update public.conversations c set customer_id = m.merged where c.id = any (v_ids) and c.customer_id = m.kept;
  update public.customer_identities i set customer_id = m.merged
  where i.customer_id = m.kept
    and exists (
      select from public.conversations c where c.id = any (v_ids)
        and ((i.kind = 'phone' and c.customer_phone = i.value) or (i.kind = 'email' and lower(c.customer_email) = i.value)))
    and not exists (select from leadpipe.merged_rows r where r.merge = m.id and r.kind = i.kind and r.value = i.value)
    and not exists (
      select from public.conversations c where c.customer_id = m.kept
        and ((i.kind = 'phone' and c.customer_phone = i.value) or (i.kind = 'email' and lower(c.customer_email) = i.value)));
  return cardinality(v_ids);
end
$$;
revoke all on function leadpipe.return_conversations(uuid) from public, anon, authenticated;
