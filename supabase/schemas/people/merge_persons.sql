-- Merges the person of `merge` into the person of `keep`, each with `phone` or `email`: from then on both are the customer
-- of `keep`, with all conversations, phone numbers and email addresses. Later leads with any of these are this customer's.
-- Follow-ups belong to conversations and subscriptions to email addresses, so they follow. `id` names the merge for
-- undo_merge. `isNew` is false if both were one customer already. Raises LP404 if nothing is stored about one of the two.
--
-- Locks conversations in the order of their ids, then phone numbers, then email addresses, as captures do. A capture that
-- has read the customer just before the merge may store a lead of the old one; see settle_merges.
create or replace function public.merge_persons(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_side text;
  v record;
  v_kept uuid;
  v_merged uuid;
  v_loose uuid[] := '{}';  -- conversations that have no customer
  v_loose_kept uuid[];
  v_ids uuid[];
  v_id uuid;
  v_done jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  perform leadpipe.lock_persons();
  perform leadpipe.settle_merges();
  foreach v_side in array array['keep', 'merge'] loop
    begin
      v := leadpipe.find_person(p -> v_side);
    exception when sqlstate 'LP404' then
      raise exception using errcode = 'LP404', message = 'merge_person_not_found', detail = jsonb_build_object('side', v_side);
    end;
    v_loose := array(select c.id from public.conversations c where c.id = any (v.conversations) and c.customer_id is null);
    if v_side = 'keep' then
      v_loose_kept := v_loose;
    end if;
  end loop;
  v_kept := coalesce(leadpipe.customer_of(p -> 'keep'), leadpipe.uuid_v7());
  v_merged := coalesce(leadpipe.customer_of(p -> 'merge'), leadpipe.uuid_v7());
  if v_kept = v_merged or lower((p -> 'keep')::text) = lower((p -> 'merge')::text) then
    return jsonb_build_object('id', (
        select m.id from leadpipe.customer_merges m
        where m.kept = v_kept and m.undone_at is null and m.erased_at is null
          and exists (select from leadpipe.merged_rows r where r.merge = m.id and not r.is_kept
                      and r.kind <> 'conversation' and r.value in (p #>> '{merge,phone}', lower(p #>> '{merge,email}')))
        order by m.created_at desc, m.id desc limit 1),
      'isNew', false, 'conversations', 0, 'contacts', 0);
  end if;

  insert into leadpipe.customer_merges (actor, kept, merged) values (p ->> 'by', v_kept, v_merged) returning id into v_id;
  v_ids := array(
    select c.id from public.conversations c
    where c.customer_id = v_merged or c.id = any (v_loose || v_loose_kept) order by c.id for no key update);
  insert into leadpipe.merged_rows (merge, kind, value, customer_id, is_kept)
  select v_id, 'conversation', c.id::text, c.customer_id, c.id = any (v_loose_kept)
  from public.conversations c where c.id = any (v_ids) and coalesce(c.customer_id, v_merged) = v_merged;
  update public.conversations c set customer_id = v_kept where c.id = any (v_ids) and coalesce(c.customer_id, v_merged) = v_merged;

  perform from public.customer_identities i where i.customer_id = v_merged order by i.kind desc, i.value for no key update;
  with moved as (
    update public.customer_identities i set customer_id = v_kept where i.customer_id = v_merged returning i.kind, i.value)
  insert into leadpipe.merged_rows (merge, kind, value, customer_id) select v_id, kind, value, v_merged from moved;
  -- A contact that belongs to no customer, for instance of a subscriber.
  with added as (
    insert into public.customer_identities (kind, value, customer_id)
    select s.kind, s.value, v_kept
    from (values ('phone', p #>> '{keep,phone}'), ('phone', p #>> '{merge,phone}'), ('email', lower(p #>> '{keep,email}')),
                 ('email', lower(p #>> '{merge,email}'))) as s (kind, value)
    where s.value is not null
    on conflict do nothing returning kind, value)
  insert into leadpipe.merged_rows (merge, kind, value, is_kept)
  select v_id, kind, value, value in (p #>> '{keep,phone}', lower(p #>> '{keep,email}')) is true from added;
  if exists (
    select from public.customer_identities i
    where i.customer_id <> v_kept
      and ((i.kind = 'phone' and i.value in (p #>> '{keep,phone}', p #>> '{merge,phone}'))
        or (i.kind = 'email' and i.value in (lower(p #>> '{keep,email}'), lower(p #>> '{merge,email}'))))) then
    -- A capture has stored it for another customer meanwhile.
    raise exception using errcode = 'LPTRY', message = 'write_conflict';
  end if;
  select jsonb_build_object('conversations', count(*) filter (where r.kind = 'conversation'),
    'contacts', count(*) filter (where r.kind <> 'conversation')) into v_done
  from leadpipe.merged_rows r where r.merge = v_id and not r.is_kept;
  perform leadpipe.record_audit(p ->> 'by', 'person.merged', v_id::text, v_done);
  return v_done || jsonb_build_object('id', v_id, 'isNew', true);
end
$$;
revoke all on function public.merge_persons(jsonb) from public, anon, authenticated;
grant execute on function public.merge_persons(jsonb) to leadpipe_admin, service_role;
