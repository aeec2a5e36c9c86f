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
