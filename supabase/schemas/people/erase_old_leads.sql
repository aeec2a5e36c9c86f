-- Erases the personal data of the next closed leads to which nothing has happened since `p_before`, at most about 50, and
-- that of their customers who have no other lead. Reads at most 1,000 leads, in the order of their creation, from
-- `p_to` and `p_id` on. Leads that another session has locked stay for the next pass. Returns how many leads were erased,
-- and the last lead that was read; null at the end of the leads.
create or replace function leadpipe.erase_old_leads(
  p_before timestamptz, inout p_to timestamptz, inout p_id uuid, out erased integer)
language plpgsql set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
  c_read constant integer := 1000;
  c_most constant integer := 50;
  v_row record;
  v_read integer := 0;
  v_ids uuid[] := '{}';
  v_events uuid[];
  v_gone record;
begin
  for v_row in
    select c.id, c.created_at from public.conversations c
    where (c.erased_at is null or c.customer_id is not null) and c.status in ('completed', 'lost', 'converted', 'spam') and c.created_at < p_before
      and (c.created_at, c.id) > (coalesce(p_to, '-infinity'), coalesce(p_id, '00000000-0000-0000-0000-000000000000'))
    order by c.created_at, c.id limit c_read
  loop
    v_read := v_read + 1;
    p_to := v_row.created_at;
    p_id := v_row.id;
    if leadpipe.is_unused_since(v_row.id, p_before) then
      v_ids := v_ids || v_row.id;
    end if;
    exit when cardinality(v_ids) = c_most;
  end loop;
  if v_read < c_read and cardinality(v_ids) < c_most then
    p_to := null;
    p_id := null;
  end if;

  -- Without waiting, in the order in which others lock: events, then conversations. The clean-up drops the events.
  if to_regclass('public.lead_events') is not null then
    v_events := array(select e.id from public.lead_events e where e.conversation_id = any (v_ids) order by e.id for update skip locked);
    v_ids := array(
      select id from unnest(v_ids) as id
      where not exists (select from public.lead_events e where e.conversation_id = id and e.id <> all (v_events)));
  end if;
  v_ids := array(
    select c.id from public.conversations c where c.id = any (v_ids) order by c.id for no key update skip locked);
  v_ids := array(select id from unnest(v_ids) as id where leadpipe.is_unused_since(id, p_before) order by id);
  erased := cardinality(v_ids);
  if erased = 0 then
    return;
  end if;
  select array_agg(distinct c.customer_id) as customers, array_agg(distinct c.customer_phone) as phones,
    array_agg(distinct lower(c.customer_email)) as emails into v_gone
  from public.conversations c where c.id = any (v_ids);
  perform leadpipe.erase_conversations(v_ids, 'retention');
  -- The numbers and addresses of customers who have no lead any more.
  with gone as (
    delete from public.customer_identities i
    where i.ctid = any (array(
        select o.ctid from public.customer_identities o where o.customer_id = any (v_gone.customers)
        union all select o.ctid from public.customer_identities o where o.kind = 'phone' and o.value = any (v_gone.phones)
        union all select o.ctid from public.customer_identities o where o.kind = 'email' and o.value = any (v_gone.emails)))
      and not exists (select from public.conversations c where c.customer_id = i.customer_id)
    returning i.kind, i.value)
  select array_agg(value) filter (where kind = 'phone') as phones, array_agg(value) filter (where kind = 'email') as emails into v_gone from gone;
  -- A merge can be undone for the rows that are left.
  delete from leadpipe.merged_rows r
  where (r.kind = 'conversation' and r.value = any (v_ids::text[])) or (r.kind = 'phone' and r.value = any (v_gone.phones))
    or (r.kind = 'email' and r.value = any (v_gone.emails));
end
$$;
revoke all on function leadpipe.erase_old_leads(timestamptz, timestamptz, uuid) from public, anon, authenticated;
