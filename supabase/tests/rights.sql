-- The privileges of each role on every table and every function in public. A table or function that is not in the lists
-- fails the first tests. Only the owner may use schema leadpipe and execute its functions.
begin;
create extension if not exists pgtap with schema public;
set local client_min_messages = warning;

create temp table tables (position serial, name text, row_sql text);
insert into tables (name, row_sql) values
  ('user_roles',             $$ (user_id, role) values ('00000000-0000-4000-8000-00000000000a', 'admin') $$),
  ('agents',                 $$ (id, name) values ('00000000-0000-4000-8000-0000000000a1', 'Agent') $$),
  ('conversations',          $$ (id, customer_name) values ('00000000-0000-4000-8000-0000000000c1', 'Lead') $$),
  ('chat_messages',          $$ (conversation_id, sender, message_text) values ('00000000-0000-4000-8000-0000000000c1', 'bot', 'hi') $$),
  ('lead_tags',              $$ (conversation_id, tag_name) values ('00000000-0000-4000-8000-0000000000c1', 'vip') $$),
  ('conversation_summaries', $$ (conversation_id, summary) values ('00000000-0000-4000-8000-0000000000c1', 's') $$),
  ('newsletter_subscribers', $$ (email) values ('rights@example.com') $$),
  ('customer_identities',    $$ (kind, value, customer_id) values ('email', 'rights@example.com', gen_random_uuid()) $$),
  ('idempotency_keys',       $$ (route, key, body_sha256) values ('rights', 'k', '') $$),
  ('lead_events',            $$ (id, event_type) values ('00000000-0000-4000-8000-0000000000e1', 'lead.updated') $$),
  ('conversation_timeline',  $$ (conversation_id, event_type, title) values ('00000000-0000-4000-8000-0000000000c1', 'created', 't') $$),
  ('follow_up_tasks',        $$ (conversation_id, follow_up_date) values ('00000000-0000-4000-8000-0000000000c1', now()) $$),
  ('notification_logs',      $$ (lead_event_id, channel) values ('00000000-0000-4000-8000-0000000000e1', 'slack') $$),
  ('notification_attempts',  $$ (delivery, fence, attempt) values (gen_random_uuid(), 1, 1) $$),
  ('notification_channels',  $$ (channel) values ('push') $$),
  ('workers',                $$ (name) values ('rights') $$),
  ('admin_keys',             $$ (name, rights, sha256) values ('rights', 'read', '') $$),
  ('admin_sessions',         $$ (sha256) values ('') $$),
  ('conversation_changes',   $$ select id from public.conversations where false $$),
  ('conversation_words',     $$ (conversation_id, created_at, lead_score, words)
                                values ('00000000-0000-4000-8000-0000000000c1', now(), 0, '') $$),
  ('known_words',            $$ values ('rights') $$);

create temp table roles (name text, as_role text, user_id text);
insert into roles values
  ('anon', 'anon', ''),
  ('a user', 'authenticated', '00000000-0000-4000-8000-00000000000b'),
  ('an admin', 'authenticated', '00000000-0000-4000-8000-00000000000a'),
  ('service_role', 'service_role', ''),
  ('leadpipe_intake', 'leadpipe_intake', ''),
  ('leadpipe_worker', 'leadpipe_worker', ''),
  ('leadpipe_admin', 'leadpipe_admin', '');

create temp table functions (signature text, may_run text[]);
insert into functions values
  ('add_timeline_entry(uuid, timeline_event_type, text, text, text, uuid, text, jsonb)', '{service_role}'),
  ('admit_request(jsonb)', '{leadpipe_admin,leadpipe_intake,service_role}'),
  ('analytics_report(jsonb)', '{leadpipe_admin,service_role}'),
  ('assign_conversation(jsonb)', '{leadpipe_admin,service_role}'),
  ('assign_leads(jsonb)', '{leadpipe_worker,service_role}'),
  ('begin_deliveries(jsonb)', '{leadpipe_worker,service_role}'),
  ('capture_lead(jsonb)', '{leadpipe_intake,service_role}'),
  ('capture_leads(jsonb)', '{leadpipe_intake,service_role}'),
  ('change_conversations(jsonb)', '{leadpipe_admin,service_role}'),
  ('claim_deliveries(jsonb)', '{leadpipe_worker,service_role}'),
  ('close_session(jsonb)', '{leadpipe_admin,service_role}'),
  ('create_admin_key(jsonb)', '{leadpipe_admin,service_role}'),
  ('create_agent(jsonb)', '{leadpipe_admin,service_role}'),
  ('create_follow_up(jsonb)', '{leadpipe_admin,service_role}'),
  ('create_login(jsonb)', '{leadpipe_admin,service_role}'),
  ('delete_agent(jsonb)', '{leadpipe_admin,service_role}'),
  ('delete_subscriber(jsonb)', '{leadpipe_admin,service_role}'),
  ('emit_lead_event(lead_event_type, uuid, jsonb, text)', '{service_role}'),
  ('explain_conversation(jsonb)', '{leadpipe_admin,service_role}'),
  ('get_sla_breach_candidates(integer)', '{service_role}'),
  ('has_role(uuid, app_role)', '{authenticated,service_role}'),
  ('find_ids(jsonb)', '{leadpipe_admin,service_role}'),
  ('health_report(jsonb)', '{leadpipe_admin,leadpipe_intake,leadpipe_worker,service_role}'),
  ('index_words(jsonb)', '{leadpipe_worker,service_role}'),
  ('list_admin_keys(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_agents(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_assignments(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_channels(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_conversation_deliveries(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_conversation_events(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_conversations(jsonb)', '{leadpipe_admin,service_role}'),
  ('prepare_export(jsonb)', '{leadpipe_admin,service_role}'),
  ('export_conversations(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_deliveries(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_events(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_follow_ups(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_messages(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_sla(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_subscribers(jsonb)', '{leadpipe_admin,service_role}'),
  ('list_timeline(jsonb)', '{leadpipe_admin,service_role}'),
  ('live_events(jsonb)', '{leadpipe_admin,service_role}'),
  ('open_session(jsonb)', '{leadpipe_admin,service_role}'),
  ('prune(jsonb)', '{leadpipe_worker,service_role}'),
  ('prepare_test_lead(jsonb)', '{leadpipe_admin,service_role}'),
  ('record_outcomes(jsonb)', '{leadpipe_worker,service_role}'),
  ('release_deliveries(jsonb)', '{leadpipe_worker,service_role}'),
  ('remove_test_leads(jsonb)', '{leadpipe_admin,service_role}'),
  ('replay_event(jsonb)', '{leadpipe_admin,service_role}'),
  ('replay_events(jsonb)', '{leadpipe_admin,service_role}'),
  ('respond_to_conversation(jsonb)', '{leadpipe_admin,service_role}'),
  ('resume_channel(jsonb)', '{leadpipe_admin,service_role}'),
  ('retry_deliveries(jsonb)', '{leadpipe_admin,service_role}'),
  ('retry_delivery(jsonb)', '{leadpipe_admin,service_role}'),
  ('revoke_admin_key(jsonb)', '{leadpipe_admin,service_role}'),
  ('search_conversations(jsonb)', '{leadpipe_admin,service_role}'),
  ('settle_request(jsonb)', '{leadpipe_admin,leadpipe_intake,service_role}'),
  ('show_conversation(jsonb)', '{leadpipe_admin,service_role}'),
  ('show_delivery(jsonb)', '{leadpipe_admin,service_role}'),
  ('show_person(jsonb)', '{leadpipe_admin,service_role}'),
  ('export_person(jsonb)', '{leadpipe_admin,service_role}'),
  ('erase_person(jsonb)', '{leadpipe_admin,service_role}'),
  ('merge_persons(jsonb)', '{leadpipe_admin,service_role}'),
  ('undo_merge(jsonb)', '{leadpipe_admin,service_role}'),
  ('count_old_leads(jsonb)', '{leadpipe_admin,service_role}'),
  ('prune_persons(jsonb)', '{leadpipe_worker,service_role}'),
  ('list_audit(jsonb)', '{leadpipe_admin,service_role}'),
  ('show_session(jsonb)', '{leadpipe_admin,service_role}'),
  ('subscribe_newsletter(jsonb)', '{leadpipe_intake,service_role}'),
  ('digest_follow_ups(jsonb)', '{leadpipe_worker,service_role}'),
  ('sweep_follow_ups(jsonb)', '{leadpipe_worker,service_role}'),
  ('sweep_receipts(jsonb)', '{leadpipe_worker,service_role}'),
  ('sweep_sla(jsonb)', '{leadpipe_worker,service_role}'),
  ('test_channel(jsonb)', '{leadpipe_admin,service_role}'),
  ('unassign_conversation(jsonb)', '{leadpipe_admin,service_role}'),
  ('unsubscribe_newsletter(jsonb)', '{leadpipe_intake,service_role}'),
  ('update_agent(jsonb)', '{leadpipe_admin,service_role}'),
  ('update_conversation(jsonb)', '{leadpipe_admin,service_role}'),
  ('update_follow_up(jsonb)', '{leadpipe_admin,service_role}'),
  ('update_overdue_follow_ups()', '{service_role}'),
  ('update_updated_at_column()', '{service_role}');

-- Functions that a handler's role may run use their owner's privileges, and so do those that the checklist names.
create temp view definers as select signature from functions
where may_run && '{leadpipe_intake,leadpipe_worker,leadpipe_admin}' or signature like any ('{emit_lead%,add_time%,get_sla%,update_over%,has_role%}');

-- Runs a statement as a role and rolls it back. Returns 'denied', 'no rows', 'rows' or the error.
create function pg_temp.outcome(p_role text, p_user text, p_sql text) returns text language plpgsql as $$
declare
  v_rows bigint;
begin
  perform set_config('request.jwt.claims', jsonb_build_object('sub', p_user, 'role', p_role)::text, true);
  execute format('set local role %I', p_role);
  execute p_sql;
  get diagnostics v_rows = row_count;
  raise exception using errcode = 'TAP01', message = case v_rows when 0 then 'no rows' else 'rows' end;
exception
  when insufficient_privilege then return 'denied';
  when sqlstate 'TAP01' then return sqlerrm;
  when others then return sqlstate || ' ' || sqlerrm;
end
$$;

select plan(3 + 7 + (select count(*) from tables)::integer * (1 + 7 * 4) + (select count(*) from functions)::integer * 7
            + (select count(*) from definers)::integer + 2);

select set_eq(
  $$ select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and oid not in
       (select objid from pg_depend where deptype = 'e') $$,
  'select name from tables', 'every table is in the list');
select set_eq(
  $$ select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace and oid not in
       (select objid from pg_depend where deptype = 'e') $$,
  'select signature::regprocedure::text from functions', 'every function is in the list');
select is(has_schema_privilege(as_role, 'leadpipe', 'usage, create'), false, name || ' may not use schema leadpipe') from roles order by name;
select is_empty(
  $$ select oid::regprocedure from pg_proc where pronamespace = 'leadpipe'::regnamespace
     and oid not in (select objid from pg_depend where deptype = 'e')
     and exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee <> proowner
                 -- The default of ids, for rows that service_role inserts.
                 and not (oid = 'leadpipe.uuid_v7()'::regprocedure and grantee = 'service_role'::regrole)) $$,
  'only the owner may execute a function of schema leadpipe');
select ok(relrowsecurity, 'row-level security is on for ' || name)
from tables join pg_class on pg_class.oid = ('public.' || name)::regclass order by position;

-- Inserts a row into each table first, so that there are rows to read.
do $$
declare
  t record;
begin
  for t in select * from tables order by position loop
    execute format('insert into public.%I %s on conflict do nothing', t.name, t.row_sql);
  end loop;
end
$$;

select is(
  pg_temp.outcome(as_role, user_id, case verb
    when 'select' then format('select from public.%I', tables.name)
    when 'insert' then format('insert into public.%I %s on conflict do nothing', tables.name, row_sql)
    when 'update' then format('update public.%1$I set %2$I = %2$I', tables.name,
                              (select attname from pg_attribute where attrelid = ('public.' || tables.name)::regclass and attnum = 1))
    when 'delete' then format('delete from public.%I', tables.name) end),
  case
    when roles.name = 'service_role' and verb = 'insert'
      and tables.name not in ('chat_messages', 'conversation_summaries', 'conversation_timeline', 'follow_up_tasks', 'notification_attempts')
      then 'no rows'  -- the row exists already
    when roles.name = 'service_role' then 'rows'
    when tables.name like 'admin_%' then 'denied'
    when verb = 'select' and roles.name = 'an admin' then 'rows'
    when verb = 'select' and roles.name = 'a user' then 'no rows'
    else 'denied' end,
  format('%s: %s %s', roles.name, verb, tables.name))
from tables, roles, unnest('{select,insert,update,delete}'::text[]) as verb
order by tables.position, roles.name, verb;

select is(has_function_privilege(as_role, ('public.' || signature)::regprocedure, 'execute'), as_role = any (may_run),
          format('%s: execute %s', roles.name, signature))
from functions, roles order by signature, roles.name;

select ok(prosecdef and proconfig::text like '%search_path=pg_catalog, pg_temp%', signature || ' is SECURITY DEFINER with a fixed search_path')
from definers join pg_proc on pg_proc.oid = ('public.' || signature)::regprocedure order by signature;

select is(pg_temp.outcome('leadpipe_intake', '', $$ select public.capture_lead('{"route": "r", "source": "s", "lead": {"customerName": "A"}}') $$),
          'rows', 'leadpipe_intake captures although it cannot read any table');
select is(pg_temp.outcome('leadpipe_worker', '', $$ select public.claim_deliveries('{"worker": "w", "channels": [{"channel": "slack"}]}') $$),
          'rows', 'leadpipe_worker claims although it cannot read any table');

select * from finish();
rollback;
