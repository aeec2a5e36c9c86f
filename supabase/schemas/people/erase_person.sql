-- Removes a person's data from all tables; see find_person and erase_conversations. `conversations` and `subscriptions`
-- must be the numbers that show_person returned, so that nothing is erased that nobody has seen; otherwise raises LP409.
-- The audit log records the numbers. Leads that are stored later are not affected.
create or replace function public.erase_person(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v record;
  v_done jsonb;
  v_events uuid[];
  v_about uuid[];
  v_digests uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  perform leadpipe.lock_persons();
  perform leadpipe.settle_merges();
  v := leadpipe.find_person(p);
  if (p ->> 'conversations')::integer is distinct from cardinality(v.conversations)
    or (p ->> 'subscriptions')::integer is distinct from cardinality(v.subscribers) then
    raise exception using errcode = 'LP409', message = 'person_changed';
  end if;
  -- Before anything is locked, because it takes long.
  v_about := leadpipe.mentions_of_person(v.phones, v.emails);
  if to_regclass('public.lead_events') is not null then
    -- All events in one statement, in the order in which others lock them.
    v_digests := array(select leadpipe.digests_about(v.conversations));
    perform from public.lead_events e
    where e.conversation_id = any (v.conversations) or e.id = any (v_digests)
      or e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails)
    order by e.id for update;
  end if;
  -- How many had consented to marketing: what may be kept as proof that consent was asked for.
  v_done := jsonb_build_object('conversations', cardinality(v.conversations), 'subscriptions', cardinality(v.subscribers),
    'consents', (select count(*) from public.conversations c where c.id = any (v.conversations) and c.metadata @> '{"consent": {"marketing": true}}'));
  v_done := v_done || jsonb_build_object('notificationsCancelled', leadpipe.erase_conversations(v.conversations, p ->> 'by'));
  if to_regclass('public.notification_logs') is not null then
    -- What another program has sent to another address of the person.
    update public.notification_logs d set recipient = 'erased ' || d.id
    where d.conversation_id = any (v.conversations) and (lower(d.recipient) = any (v.emails) or leadpipe.phone_digits(d.recipient) in (
      select leadpipe.phone_digits(phone) from unnest(v.phones) as phone));
  end if;
  delete from public.newsletter_subscribers s where s.id = any (v.subscribers);
  -- After the subscription, whose row a concurrent subscription locks, so that its event is found too.
  if to_regclass('public.lead_events') is not null then
    v_events := array(
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = any (v.emails));
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  delete from leadpipe.receipts r where r.address = any (array(
    select sha256(convert_to(leadpipe.receipt_address(email), 'UTF8')) from unnest(v.emails) as email));
  delete from public.customer_identities i
  where (i.kind = 'phone' and i.value = any (v.phones)) or (i.kind = 'email' and i.value = any (v.emails));
  perform leadpipe.forget_merges(v.conversations, v.phones, v.emails);
  if v_about <> '{}' then
    update public.conversation_timeline t set description = null, metadata = t.metadata - 'notStored' where t.id = any (v_about);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'person.erased', null, v_done);
  return v_done;
end
$$;
revoke all on function public.erase_person(jsonb) from public, anon, authenticated;
grant execute on function public.erase_person(jsonb) to leadpipe_admin, service_role;
