-- Generated from schemas/ by `make migration`, except for the locks. This file can run again at any time.

-- Waits for the locks in short tries, so that captures and claims do not queue behind this one.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table leadpipe.index_lock in access exclusive mode;
      lock table public.conversations, public.customer_identities in share mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
end
$$;

create table if not exists leadpipe.customer_merges (
  id uuid constraint customer_merges_pkey primary key default leadpipe.uuid_v7(),
  created_at timestamptz not null default clock_timestamp(),
  actor text not null,
  kept uuid not null,
  merged uuid not null,
  undone_at timestamptz,
  erased_at timestamptz
);

create index if not exists customer_merges_created_at_idx on leadpipe.customer_merges (created_at);

create index if not exists customer_merges_merged_idx on leadpipe.customer_merges (merged);

revoke all on table leadpipe.customer_merges from public, anon, authenticated, service_role;

comment on table leadpipe.customer_merges is 'Merges of two customers, kept for 30 days, in which they can be undone.';

comment on column leadpipe.customer_merges.kept is 'The customer who has the rows of both.';

comment on column leadpipe.customer_merges.merged is 'The customer who had the other rows before.';

comment on column leadpipe.customer_merges.erased_at is 'When rows of the merge were erased, so that it cannot be undone any more.';

create table if not exists leadpipe.merged_rows (
  merge uuid not null
    constraint merged_rows_merge_fkey references leadpipe.customer_merges (id) on delete cascade,
  kind text not null constraint merged_rows_kind_check check (kind in ('conversation', 'phone', 'email')),
  value text not null,
  customer_id uuid,
  is_kept boolean not null default false,
  constraint merged_rows_pkey primary key (merge, kind, value)
);

revoke all on table leadpipe.merged_rows from public, anon, authenticated, service_role;

comment on table leadpipe.merged_rows is 'The conversations, phone numbers and email addresses that a merge moved to another customer.';

comment on column leadpipe.merged_rows.value is 'The id of the conversation, the phone number or the email address.';

comment on column leadpipe.merged_rows.customer_id is
  'The customer before the merge; null if the conversation had none, or if the phone number or email address belonged to none.';

comment on column leadpipe.merged_rows.is_kept is 'True if it was of the customer who was kept.';

-- One row, added when it is first needed. Whoever merges, erases or undoes a merge locks it before any other row, so that
-- they run one after another. Retention does not wait for it. It also keeps the state of retention.
create table if not exists leadpipe.person_lock (
  only_row boolean constraint person_lock_pkey primary key default true constraint person_lock_only_row check (only_row),
  called_at timestamptz,
  passed_at timestamptz,
  passed_to timestamptz,
  passed_id uuid,
  unreported integer not null default 0
);

revoke all on table leadpipe.person_lock from public, anon, authenticated, service_role;

comment on column leadpipe.person_lock.called_at is 'The latest call of erase_old_leads.';

comment on column leadpipe.person_lock.passed_at is 'When erase_old_leads last came to the end of the leads.';

comment on column leadpipe.person_lock.passed_to is 'created_at of the last lead that the present pass has read; null between two passes.';

comment on column leadpipe.person_lock.unreported is 'How many leads were erased since the latest entry in the audit log.';

alter table leadpipe.index_lock add column if not exists swept_to text;

-- Returns the metadata of a conversation with that of a request added: its members replace stored ones, and the values
-- that were set aside are collected. If the result were larger than 48 KiB, more than one request can send, the stored
-- metadata is kept as it is, except for the consent: the customer may have withdrawn it.
create or replace function leadpipe.merge_metadata(p_stored jsonb, p_sent jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_sent is null then p_stored
    when octet_length(merged::text) <= 49152 then merged
    when octet_length((p_sent -> 'consent')::text) <= 1000 then p_stored || jsonb_build_object('consent', p_sent -> 'consent')
    else p_stored end
  from (select coalesce(p_stored, '{}') || coalesce(p_sent, '{}')
    || case when p_stored ? 'setAside' and p_sent ? 'setAside'
         then jsonb_build_object('setAside', (p_stored -> 'setAside') || (p_sent -> 'setAside')) else '{}' end) as result (merged)
$$;

revoke all on function leadpipe.merge_metadata(jsonb, jsonb) from public, anon, authenticated;

-- Returns the customer of the phone number `phone` (E.164) or the email address `email`: the one to whom it belongs, else
-- the one of the latest conversation with it, as in a database from before Leadpipe. Null if there is none.
create or replace function leadpipe.customer_of(p jsonb) returns uuid
language sql stable set search_path = pg_catalog, pg_temp set jit = off as $$
  select coalesce(
    (select i.customer_id from public.customer_identities i
     where (i.kind = 'phone' and i.value = p ->> 'phone') or (i.kind = 'email' and i.value = lower(p ->> 'email'))
     order by i.kind desc limit 1),
    (select c.customer_id from public.conversations c
     where (c.customer_phone = p ->> 'phone' or lower(c.customer_email) = lower(p ->> 'email')) and c.customer_id is not null
     order by c.created_at desc, c.id desc limit 1))
$$;

revoke all on function leadpipe.customer_of(jsonb) from public, anon, authenticated;

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

-- Waits until no other transaction merges or erases persons, and keeps them out until the end of this one. Must be called
-- before any other row is locked.
create or replace function leadpipe.lock_persons() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into leadpipe.person_lock default values on conflict do nothing;
  perform from leadpipe.person_lock for update;
end
$$;

revoke all on function leadpipe.lock_persons() from public, anon, authenticated;

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

-- Returns the merges that brought one of the phone numbers or email addresses to another customer and can be undone,
-- latest first.
create or replace function leadpipe.merges_of(p_phones text[], p_emails text[]) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'createdAt', leadpipe.iso8601(m.created_at), 'by', m.actor)
    order by m.created_at desc, m.id desc), '[]')
  from leadpipe.customer_merges m
  where m.undone_at is null and m.erased_at is null and m.created_at > clock_timestamp() - interval '30 days'
    and exists (select from leadpipe.merged_rows r
                where r.merge = m.id and ((r.kind = 'phone' and r.value = any (p_phones)) or (r.kind = 'email' and r.value = any (p_emails))))
$$;

revoke all on function leadpipe.merges_of(text[], text[]) from public, anon, authenticated;

-- Housekeeping of customers, in one small batch: settles the latest merges, deletes those of more than 30 days ago, and
-- erases closed leads to which nothing has happened for `days` days (at least 30). Without `days`, erases nothing.
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
  l.unreported := l.unreported + v.erased;
  if l.unreported > 0 and (v.p_to is null or l.unreported >= 10000) then
    perform leadpipe.record_audit('retention', 'leads.erased', null, jsonb_build_object('leads', l.unreported, 'days', v_days));
    l.unreported := 0;
  end if;
  update leadpipe.person_lock set
    called_at = v_now, passed_at = case when v.p_to is null then v_now else l.passed_at end, passed_to = v.p_to, passed_id = v.p_id,
    unreported = l.unreported
  where only_row;
  return jsonb_build_object('leads', v.erased, 'isComplete', v.p_to is null);
end
$$;

revoke all on function public.prune_persons(jsonb) from public, anon, authenticated;

grant execute on function public.prune_persons(jsonb) to leadpipe_worker, service_role;

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

-- Returns what is stored about a person, in short: numbers, addresses, conversations with the consent that was given,
-- subscriptions, and the merges that can be undone. See find_person.
create or replace function public.show_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
begin
  p := leadpipe.authorize(p, 'owner');
  v := leadpipe.find_person(p);
  return jsonb_build_object('phones', v.phones, 'emails', v.emails,
    'conversations', (
      select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'createdAt', leadpipe.iso8601(c.created_at), 'name', c.customer_name,
        'status', c.status, 'source', c.source, 'consent', c.metadata -> 'consent',
        'messages', (select count(*) from public.chat_messages m where m.conversation_id = c.id)) order by c.created_at, c.id), '[]')
      from public.conversations c where c.id = any (v.conversations)),
    'subscriptions', (
      select coalesce(jsonb_agg(jsonb_build_object('email', s.email, 'status', s.status, 'subscribedAt', leadpipe.iso8601(s.subscribed_at))
        order by s.subscribed_at, s.id), '[]')
      from public.newsletter_subscribers s where s.id = any (v.subscribers)),
    'merges', leadpipe.merges_of(v.phones, v.emails));
end
$$;

revoke all on function public.show_person(jsonb) from public, anon, authenticated;

grant execute on function public.show_person(jsonb) to leadpipe_admin, service_role;

-- Returns everything that is stored about a person: the rows of each table, as they are, and what others have sent about
-- this person to other conversations. The audit log records it.
create or replace function public.export_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
  v_table text;
  v_rows jsonb;
  v_found jsonb;
begin
  p := leadpipe.authorize(p, 'owner');
  v := leadpipe.find_person(p);
  v_found := jsonb_build_object('phones', v.phones, 'emails', v.emails, 'exportedAt', leadpipe.iso8601(now()),
    'conversations', (select coalesce(jsonb_agg(to_jsonb(c) order by c.created_at, c.id), '[]')
      from public.conversations c where c.id = any (v.conversations)),
    'newsletter_subscribers', (select coalesce(jsonb_agg(to_jsonb(s) - 'unsubscribe_token' order by s.subscribed_at, s.id), '[]')
      from public.newsletter_subscribers s where s.id = any (v.subscribers)));
  v_found := v_found || jsonb_build_object('merges', leadpipe.merges_of(v.phones, v.emails));
  foreach v_table in array array[
    'chat_messages', 'lead_tags', 'conversation_summaries', 'conversation_timeline', 'follow_up_tasks', 'lead_events', 'notification_logs']
  loop
    -- The clean-up drops some of these tables.
    continue when to_regclass('public.' || v_table) is null;
    execute format(
      'select coalesce(jsonb_agg(to_jsonb(t) - ''xact'' order by t.created_at, t.id), ''[]'') from public.%I t where t.conversation_id = any ($1)', v_table)
    into v_rows using v.conversations;
    v_found := v_found || jsonb_build_object(v_table, v_rows);
  end loop;
  if to_regclass('public.lead_events') is not null then
    -- The events of subscriptions belong to no conversation.
    v_found := v_found || (
      select jsonb_build_object('subscription_events', coalesce(jsonb_agg(to_jsonb(e) - 'xact' order by e.created_at, e.id), '[]'))
      from public.lead_events e where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails));
    v_found := v_found || (
      select jsonb_build_object('notification_attempts', coalesce(jsonb_agg(to_jsonb(a) order by a.started_at, a.delivery, a.fence), '[]'))
      from public.notification_attempts a where a.delivery in (
        select d.id from public.notification_logs d where d.conversation_id = any (v.conversations)));
  end if;
  if to_regclass('public.conversation_timeline') is not null then
    v_found := v_found || (
      select jsonb_build_object('sent_to_other_conversations', coalesce(jsonb_agg(t.metadata -> 'notStored' order by t.created_at, t.id), '[]'))
      from public.conversation_timeline t where t.id = any ((select leadpipe.mentions_of_person(v.phones, v.emails))::uuid[]));
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'person.exported', null,
    jsonb_build_object('conversations', cardinality(v.conversations), 'subscriptions', cardinality(v.subscribers)));
  return v_found;
end
$$;

revoke all on function public.export_person(jsonb) from public, anon, authenticated;

grant execute on function public.export_person(jsonb) to leadpipe_admin, service_role;

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

-- Removes those of the words that no conversation contains from the list of known words. The caller holds the lock of the
-- word index, so that no word is added meanwhile.
create or replace function leadpipe.forget_words(p_words text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off set jit = off set gin_fuzzy_search_limit = 0 as $$
declare
  v_gone text[];
  v_count integer;
begin
  if coalesce(p_words, '{}') = '{}' then
    return 0;
  end if;
  -- First without reading all conversations of a word that occurs everywhere: about a thousand of them are enough to know
  -- that it occurs. The random choice could be of deleted rows only, so the result is checked without this limit.
  perform set_config('gin_fuzzy_search_limit', '1000', true);
  v_gone := array(
    select k.word from public.known_words k
    where k.word = any (p_words) and not exists (select from public.conversation_words w where w.words @@ leadpipe.quote_lexeme(k.word)::tsquery));
  perform set_config('gin_fuzzy_search_limit', '0', true);
  delete from public.known_words k
  where k.word = any (v_gone) and not exists (select from public.conversation_words w where w.words @@ leadpipe.quote_lexeme(k.word)::tsquery);
  get diagnostics v_count = row_count;
  return v_count;
end
$$;

revoke all on function leadpipe.forget_words(text[]) from public, anon, authenticated;

-- Indexes the words of changed conversations, at most about `p_most` of them and for at most about `p_milliseconds`.
-- Returns how many are left, counted up to 100,000. Only one call at a time indexes; a concurrent call skips indexing.
create or replace function leadpipe.index_conversations(p_most integer default 2000, p_milliseconds integer default 300) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  c_slice constant integer := 10;
  v_end timestamptz := clock_timestamp() + p_milliseconds * interval '1 millisecond';
  v_changed uuid[];
  v_count integer;
  v_done integer := 0;
  v_is_turn boolean := false;
  v_dropped text[];
begin
  if not exists (select from public.conversation_changes) then
    return 0;
  end if;
  if not current_setting('transaction_read_only')::boolean then
    insert into leadpipe.index_lock default values on conflict do nothing;
    perform from leadpipe.index_lock for update skip locked;
    v_is_turn := found;
  end if;
  if v_is_turn then
    loop
      with taken as (
        delete from public.conversation_changes
        where ctid = any (array(select ctid from public.conversation_changes limit c_slice))
        returning conversation_id
      )
      select array_agg(distinct conversation_id), count(*) into v_changed, v_count from taken;
      v_done := v_done + v_count;

      -- The lock keeps the conversations from being deleted before their words are stored.
      -- Words that a conversation does not contain any more are removed from the known words if no other has them, so that
      -- nothing of a text stays that was changed before its person was erased.
      with changed as materialized (
        select c from public.conversations c where c.id = any (v_changed) order by c.id for key share
      ), made as (
        insert into public.conversation_words as w (conversation_id, created_at, lead_score, amount, words)
        select (c).id, coalesce((c).created_at, now()), coalesce((c).lead_score, 0), (c).budget_amount,
          leadpipe.conversation_terms(c, said.text)
        from changed, lateral (
          select left(string_agg(left(m.message_text, 20000), ' ' order by m."timestamp" desc, m.created_at desc), 50000)
          from public.chat_messages m where m.conversation_id = (c).id) as said (text)
        on conflict (conversation_id) do update set
          created_at = excluded.created_at, lead_score = excluded.lead_score, amount = excluded.amount, words = excluded.words
        returning w.conversation_id, w.words
      ), known as (
        insert into public.known_words select distinct lexeme from made, unnest(words) where lexeme !~ '=|^[0-9]+$' on conflict do nothing
      )
      -- The rows as they were before this statement.
      select array_agg(distinct lexeme) into v_dropped
      from public.conversation_words w join made on made.conversation_id = w.conversation_id,
           unnest(ts_delete(w.words, tsvector_to_array(made.words)))
      where w.conversation_id = any (v_changed) and lexeme !~ '=|^[0-9]+$';
      if v_dropped is not null then
        perform leadpipe.forget_words(v_dropped);
      end if;
      exit when v_count < c_slice or v_done >= p_most or clock_timestamp() > v_end;
    end loop;
  end if;
  return (select count(*) from (select from public.conversation_changes limit 100000) waiting);
end
$$;

revoke all on function leadpipe.index_conversations(integer, integer) from public, anon, authenticated;

-- Indexes the words of at most about `most` changed conversations (default and maximum 1,000), and returns how many are
-- `left`. If none is left, looks for some known words that no longer occur.
create or replace function public.index_words(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_left bigint := leadpipe.index_conversations(least(coalesce((p ->> 'most')::integer, 1000), 1000), 1000);
begin
  if v_left = 0 then
    perform leadpipe.sweep_words(500);
  end if;
  return jsonb_build_object('left', v_left);
end
$$;

revoke all on function public.index_words(jsonb) from public, anon, authenticated;

grant execute on function public.index_words(jsonb) to leadpipe_worker, service_role;

-- Looks at the next `p_most` of the known words, beginning again at the end of the list, and removes those that no
-- conversation contains: words of deleted conversations. Does nothing while another call indexes.
create or replace function leadpipe.sweep_words(p_most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
  v_to text;
  v_words text[];
begin
  insert into leadpipe.index_lock default values on conflict do nothing;
  select l.swept_to into v_to from leadpipe.index_lock l for update skip locked;
  if not found then
    return;
  end if;
  v_words := array(select k.word from public.known_words k where k.word > coalesce(v_to, '') order by k.word limit p_most);
  if v_words = '{}' and v_to is null then
    return;
  end if;
  perform leadpipe.forget_words(v_words);
  update leadpipe.index_lock set swept_to = case when cardinality(v_words) = p_most then v_words[p_most] end where only_row;
end
$$;

revoke all on function leadpipe.sweep_words(integer) from public, anon, authenticated;

CREATE INDEX IF NOT EXISTS conversations_closed_idx ON public.conversations USING btree (created_at, id) WHERE (((erased_at IS NULL) OR (customer_id IS NOT NULL)) AND (status = ANY (ARRAY['completed'::text, 'lost'::text, 'converted'::text])));

CREATE INDEX IF NOT EXISTS customer_identities_customer_id_idx ON public.customer_identities USING btree (customer_id);

comment on column leadpipe.index_lock.swept_to is 'The last of the known words that sweep_words has looked at; null at the beginning of the list.';

comment on table public.known_words is 'The words in conversation_words, except numbers. A word that no longer occurs matches nothing, and is removed: with the text that had it, or by sweep_words.';
