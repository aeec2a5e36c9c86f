-- Undoes the merge `id`: its conversations, phone numbers and email addresses become those of the customer who had them
-- before. So do conversations that were stored since with one of these. `isNew` is false if it was undone before. Raises
-- LP404 if there is no such merge, or not any more, and LP409 if the customer was merged on since, or erased.
create or replace function public.undo_merge(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  m leadpipe.customer_merges;
  v_later uuid;
  v_ids uuid[];
  v_since integer;
  v_conversations integer;
  v_contacts integer;
  v_removed integer;
  v_done jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  perform leadpipe.lock_persons();
  perform leadpipe.settle_merges();
  select * into m from leadpipe.customer_merges where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'merge_not_found';
  end if;
  if m.undone_at is not null then
    return jsonb_build_object('id', m.id, 'isNew', false, 'conversations', 0, 'contacts', 0);
  end if;
  if m.erased_at is not null then
    raise exception using errcode = 'LP409', message = 'merge_erased';
  end if;
  select l.id into v_later from leadpipe.customer_merges l
  where l.merged = m.kept and l.undone_at is null and l.erased_at is null order by l.created_at desc, l.id desc limit 1;
  if found then
    raise exception using errcode = 'LP409', message = 'merge_not_latest', detail = jsonb_build_object('id', v_later);
  end if;

  v_ids := array(
    select c.id from public.conversations c
    where c.customer_id = m.kept and c.id in (
      select r.value::uuid from leadpipe.merged_rows r where r.merge = m.id and r.kind = 'conversation')
    order by c.id for no key update);
  update public.conversations c set customer_id = r.customer_id
  from leadpipe.merged_rows r
  where c.id = any (v_ids) and c.customer_id = m.kept and r.merge = m.id and r.kind = 'conversation' and r.value = c.id::text;
  get diagnostics v_conversations = row_count;
  v_since := leadpipe.return_conversations(m.id);
  perform from public.customer_identities i join leadpipe.merged_rows r on r.kind = i.kind and r.value = i.value
  where r.merge = m.id and i.customer_id = m.kept order by i.kind desc, i.value for no key update of i;
  update public.customer_identities i set customer_id = coalesce(r.customer_id, m.merged)
  from leadpipe.merged_rows r
  where r.merge = m.id and r.kind = i.kind and r.value = i.value and i.customer_id = m.kept
    -- A contact that belonged to no customer does so again, unless there are leads with it since.
    and (r.customer_id is not null or not r.is_kept and exists (
      select from public.conversations c where c.customer_id = m.merged
        and ((i.kind = 'phone' and c.customer_phone = i.value) or (i.kind = 'email' and lower(c.customer_email) = i.value))));
  get diagnostics v_contacts = row_count;
  delete from public.customer_identities i using leadpipe.merged_rows r
  where r.merge = m.id and r.kind = i.kind and r.value = i.value and r.customer_id is null and i.customer_id = m.kept
    and not exists (
      select from public.conversations c where c.customer_id = m.kept
        and ((i.kind = 'phone' and c.customer_phone = i.value) or (i.kind = 'email' and lower(c.customer_email) = i.value)));
  get diagnostics v_removed = row_count;
  if v_conversations + v_since + v_contacts + v_removed = 0 then
    -- Retention has erased all of it.
    raise exception using errcode = 'LP409', message = 'merge_erased';
  end if;
  update leadpipe.customer_merges set undone_at = clock_timestamp() where id = m.id;
  v_done := jsonb_build_object('conversations', v_conversations + v_since, 'contacts', v_contacts + v_removed);
  perform leadpipe.record_audit(p ->> 'by', 'person.merge_undone', m.id::text, v_done);
  return v_done || jsonb_build_object('id', m.id, 'isNew', true);
end
$$;
revoke all on function public.undo_merge(jsonb) from public, anon, authenticated;
grant execute on function public.undo_merge(jsonb) to leadpipe_admin, service_role;
