-- Housekeeping of customers, in one small batch: settles the latest merges, deletes those of more than 30 days ago, and
-- erases closed leads to which nothing has happened for `days` days (at least 30), and newsletter addresses that were kept
-- aside as spam for as long, at most 10,000 of them in a batch. Without `days`, erases nothing.
-- `isComplete` is true if there is nothing left to do now. Does nothing while another call is at work.
--
-- Leads are read once a day. The first time is a day after the first call, and a day after calls that did not come for two
-- days: an operator can still correct a wrong setting, or a wrong clock, before anything is erased. The audit log gets an
-- entry at the end of each pass that has erased leads, and after each 10,000.
create or replace function public.prune_persons(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_now constant timestamptz := clock_timestamp();
  v_days integer := (p ->> 'days')::integer;
  l leadpipe.person_lock;
  v record;
  v_addresses integer;
begin
  if v_days < 30 then
    raise exception 'days must be at least 30' using errcode = '22023';
  end if;
  insert into leadpipe.person_lock default values on conflict do nothing;
  select * into l from leadpipe.person_lock for update skip locked;
  if not found then
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  perform leadpipe.settle_merges();
  if v_days is null then
    if l.called_at is not null then
      -- A day passes again when it is turned on again.
      update leadpipe.person_lock set called_at = null, passed_at = null, passed_to = null, passed_id = null where only_row;
    end if;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  if l.called_at is null or l.called_at not between v_now - interval '2 days' and v_now then
    update leadpipe.person_lock set called_at = v_now, passed_at = v_now, passed_to = null, passed_id = null where only_row;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;
  if l.passed_to is null and l.passed_at > v_now - interval '1 day' then
    update leadpipe.person_lock set called_at = v_now where only_row;
    return jsonb_build_object('leads', 0, 'isComplete', true);
  end if;

  v := leadpipe.erase_old_leads(v_now - make_interval(days => v_days), l.passed_to, l.passed_id);
  delete from public.newsletter_subscribers where id in (
    select s.id from public.newsletter_subscribers s
    where s.status = 'spam' and s.updated_at < v_now - make_interval(days => v_days) limit 10000 for update skip locked);
  get diagnostics v_addresses = row_count;
  if v_addresses > 0 then
    perform leadpipe.record_audit('retention', 'subscribers.erased', null, jsonb_build_object('subscriptions', v_addresses, 'days', v_days));
  end if;
  l.unreported := l.unreported + v.erased;
  if l.unreported > 0 and (v.p_to is null or l.unreported >= 10000) then
    perform leadpipe.record_audit('retention', 'leads.erased', null, jsonb_build_object('leads', l.unreported, 'days', v_days));
    l.unreported := 0;
  end if;
  update leadpipe.person_lock set
    called_at = v_now, passed_at = case when v.p_to is null and v_addresses < 10000 then v_now else l.passed_at end, passed_to = v.p_to, passed_id = v.p_id,
    unreported = l.unreported
  where only_row;
  return jsonb_build_object('leads', v.erased, 'subscriptions', v_addresses, 'isComplete', v.p_to is null and v_addresses < 10000);
end
$$;
revoke all on function public.prune_persons(jsonb) from public, anon, authenticated;
grant execute on function public.prune_persons(jsonb) to leadpipe_worker, service_role;
