-- Generated from schemas/ by `make migration`, except for the first block. This file can run again at any time.

-- Takes its locks in short tries, so that no request queues behind this one for long. Then marks the conversations without
-- an agent as changed, because the word index gets a term for them: until they are indexed again, lists are read
-- without it. The lock of the index keeps calls that began with the old function from indexing in between.
do $$
declare
  v_is_new boolean := exists (
    select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'leadpipe' and p.proname = 'conversation_terms' and p.prosrc not like '%''none''%');
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      insert into leadpipe.index_lock default values on conflict do nothing;
      perform from leadpipe.index_lock for update;
      lock table public.admin_keys in access exclusive mode;
      lock table public.agents in share row exclusive mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
  if v_is_new then
    insert into public.conversation_changes select id from public.conversations where assigned_agent_id is null;
  end if;
end
$$;

-- Links of `leadpipe login`, in schema leadpipe, because other programs may have a table of this name in public.
create table if not exists leadpipe.admin_logins (
  sha256 bytea constraint admin_logins_pkey primary key,
  key_id uuid constraint admin_logins_key_id_fkey references public.admin_keys (id) on delete cascade,
  expires_at timestamptz not null
);

create index if not exists admin_logins_expires_at_idx on leadpipe.admin_logins (expires_at);

revoke all on table leadpipe.admin_logins from public, anon, authenticated, service_role;

comment on table leadpipe.admin_logins is 'Tokens of log-in links. Each opens one session, and is deleted with that. Only their SHA-256 is stored.';

comment on column leadpipe.admin_logins.key_id is 'The key for which the session is opened; null for ADMIN_API_KEY.';

alter table public.admin_keys add column if not exists agent_id uuid;

alter table public.admin_keys add column if not exists expires_at timestamp with time zone;

alter table public.admin_keys drop constraint if exists admin_keys_agent_id_fkey;

alter table public.admin_keys add constraint admin_keys_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.agents(id) ON DELETE SET NULL;

-- Returns the caller: {name, rights, keyId, expiresAt}. Raises LP401 if the caller is unknown. `auth` is one of
--   {"configured": "<sha256>"}                          ADMIN_API_KEY, already verified by the handler
--   {"key": "<sha256>"}                                 a key in admin_keys
--   {"session": "<sha256>", "configured": "<sha256>"}   a session; configured is the hash of the current ADMIN_API_KEY
create or replace function leadpipe.admin_identity(p_auth jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb;
  v_key uuid;
begin
  if p_auth ? 'key' then
    select id, jsonb_build_object('name', name, 'rights', rights, 'keyId', id) into v_key, v_identity
    from public.admin_keys where sha256 = decode(p_auth ->> 'key', 'hex') and revoked_at is null
      and (expires_at is null or expires_at > clock_timestamp());
  elsif p_auth ? 'session' then
    select k.id, jsonb_build_object('name', coalesce(k.name, 'ADMIN_API_KEY'), 'rights', coalesce(k.rights, 'owner'), 'keyId', k.id,
      'expiresAt', leadpipe.iso8601(s.expires_at))
    into v_key, v_identity
    from public.admin_sessions s left join public.admin_keys k on k.id = s.key_id
    where s.sha256 = decode(p_auth ->> 'session', 'hex') and s.expires_at > clock_timestamp()
      and case when s.key_id is null then s.configured_sha256 = decode(p_auth ->> 'configured', 'hex')
        else k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp()) end;
  elsif p_auth ? 'configured' then
    v_identity := jsonb_build_object('name', 'ADMIN_API_KEY', 'rights', 'owner', 'keyId', null);
  end if;
  if v_identity is null then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  if v_key is not null then
    -- Skips a locked row instead of waiting: the transaction that holds the lock stores the same value.
    update public.admin_keys set last_used_at = now()
    where id = (select id from public.admin_keys
                where id = v_key and (last_used_at is null or last_used_at < now() - interval '1 minute') for no key update skip locked);
  end if;
  return v_identity;
end
$$;

revoke all on function leadpipe.admin_identity(jsonb) from public, anon, authenticated;

-- Returns the agent who uses a key, {id, name}; null if it is no agent's.
create or replace function leadpipe.key_agent(p_key uuid) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', a.id, 'name', a.name)
  from public.admin_keys k join public.agents a on a.id = k.agent_id where k.id = p_key
$$;

revoke all on function leadpipe.key_agent(uuid) from public, anon, authenticated;

-- Returns a key as shown to owners and to the operator.
create or replace function leadpipe.admin_key_document(k public.admin_keys) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('id', k.id, 'name', k.name, 'rights', k.rights, 'agent', leadpipe.key_agent(k.id),
    'createdAt', leadpipe.iso8601(k.created_at), 'lastUsedAt', leadpipe.iso8601(k.last_used_at),
    'expiresAt', leadpipe.iso8601(k.expires_at), 'revokedAt', leadpipe.iso8601(k.revoked_at))
$$;

revoke all on function leadpipe.admin_key_document(public.admin_keys) from public, anon, authenticated;

-- Creates a key. Only its SHA-256 is stored. Raises LP409 if the name is in use or reserved, LP404 if there is no agent
-- `agentId`, LP400 if `expiresAt` is past.
create or replace function public.create_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  a public.agents;
  v_key public.admin_keys;
begin
  p := leadpipe.authorize(p, 'owner');
  if lower(p ->> 'name') in ('admin_api_key', 'operator', 'system') then
    raise exception using errcode = 'LP409', message = 'key_name_reserved';
  elsif (p ->> 'expiresAt')::timestamptz <= clock_timestamp() then
    raise exception using errcode = 'LP400', message = 'in_the_past', detail = '{"field": "expiresAt"}';
  end if;
  if p ->> 'agentId' is not null then
    a := leadpipe.lock_agent((p ->> 'agentId')::uuid);
  end if;
  insert into public.admin_keys (name, rights, sha256, agent_id, expires_at)
  values (p ->> 'name', p ->> 'rights', decode(p ->> 'sha256', 'hex'), a.id, (p ->> 'expiresAt')::timestamptz) returning * into v_key;
  perform leadpipe.record_audit(p ->> 'by', 'key.created', v_key.name,
    jsonb_strip_nulls(jsonb_build_object('rights', v_key.rights, 'agentId', v_key.agent_id)));
  return leadpipe.admin_key_document(v_key);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'key_name_taken';
end
$$;

revoke all on function public.create_admin_key(jsonb) from public, anon, authenticated;

grant execute on function public.create_admin_key(jsonb) to leadpipe_admin, service_role;

-- Lists all keys, including revoked ones. `current` is the id of the caller's key, if it has one.
create or replace function public.list_admin_keys(p jsonb default '{}') returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_current jsonb := case when p ? 'auth' then leadpipe.admin_identity(p -> 'auth') -> 'keyId' end;
begin
  p := leadpipe.authorize(p, 'owner');
  return (
    select jsonb_build_object('current', v_current,
      'keys', coalesce(jsonb_agg(leadpipe.admin_key_document(k) order by k.created_at, k.id), '[]'))
    from public.admin_keys k);
end
$$;

revoke all on function public.list_admin_keys(jsonb) from public, anon, authenticated;

grant execute on function public.list_admin_keys(jsonb) to leadpipe_admin, service_role;

-- Revokes the key with this `id` or `name`, and ends its sessions. Raises LP404 if there is no such active key, LP409 if
-- it is the caller's own and no other owner's key is active.
create or replace function public.revoke_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_caller uuid;
  v_key public.admin_keys;
begin
  if p ? 'auth' then
    -- Two owners at once: each waits here, and then sees what the other has done. Locked before authorize updates one of
    -- them, and in the same order, so that they do not wait for each other.
    perform from public.admin_keys where rights = 'owner' and revoked_at is null order by id for no key update;
    v_caller := leadpipe.admin_identity(p -> 'auth') ->> 'keyId';
  end if;
  p := leadpipe.authorize(p, 'owner');
  select * into v_key from public.admin_keys k
  where k.revoked_at is null and case when p ? 'id' then k.id = (p ->> 'id')::uuid else k.name = p ->> 'name' end for no key update;
  if not found then
    raise exception using errcode = 'LP404', message = 'key_not_found';
  elsif v_key.id = v_caller and not exists (
    select from public.admin_keys k where k.rights = 'owner' and k.revoked_at is null and k.id <> v_caller
      and (k.expires_at is null or k.expires_at > clock_timestamp())) then
    raise exception using errcode = 'LP409', message = 'last_owner_key';
  end if;
  update public.admin_keys set revoked_at = clock_timestamp() where id = v_key.id returning * into v_key;
  delete from public.admin_sessions where key_id = v_key.id;
  delete from leadpipe.admin_logins where key_id = v_key.id;
  perform leadpipe.record_audit(p ->> 'by', 'key.revoked', v_key.name);
  return leadpipe.admin_key_document(v_key);
end
$$;

revoke all on function public.revoke_admin_key(jsonb) from public, anon, authenticated;

grant execute on function public.revoke_admin_key(jsonb) to leadpipe_admin, service_role;

-- Stores a log-in link, which opens one session within five minutes: for the active key `name`, or for ADMIN_API_KEY
-- without one. `token` is the SHA-256 of the token in the link. Also deletes up to 100 expired links. Raises LP404 if
-- there is no such key.
create or replace function public.create_login(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  k public.admin_keys;
  v_expires timestamptz := clock_timestamp() + interval '5 minutes';
begin
  p := leadpipe.authorize(p, 'owner');
  if p ->> 'name' is not null then
    select * into k from public.admin_keys
    where name = p ->> 'name' and revoked_at is null and (expires_at is null or expires_at > clock_timestamp());
    if not found then
      raise exception using errcode = 'LP404', message = 'key_not_found';
    end if;
  end if;
  delete from leadpipe.admin_logins where sha256 in (
    select sha256 from leadpipe.admin_logins where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into leadpipe.admin_logins (sha256, key_id, expires_at) values (decode(p ->> 'token', 'hex'), k.id, v_expires);
  perform leadpipe.record_audit(p ->> 'by', 'login.created', coalesce(k.name, 'ADMIN_API_KEY'));
  return jsonb_build_object('name', coalesce(k.name, 'ADMIN_API_KEY'), 'rights', coalesce(k.rights, 'owner'),
    'expiresAt', leadpipe.iso8601(v_expires));
end
$$;

revoke all on function public.create_login(jsonb) from public, anon, authenticated;

grant execute on function public.create_login(jsonb) to leadpipe_admin, service_role;

-- Returns the caller with a log-in link, as admin_identity does, and deletes the link. Raises LP401 if it is unknown,
-- used or expired, or its key is no longer active. Of two calls at once, one waits for the other's lock and finds no row.
create or replace function leadpipe.use_login(p_sha256 text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_key uuid;
  v_identity jsonb;
begin
  delete from leadpipe.admin_logins where sha256 = decode(p_sha256, 'hex') and expires_at > clock_timestamp() returning key_id into v_key;
  if found then
    v_identity := case when v_key is null then jsonb_build_object('name', 'ADMIN_API_KEY', 'rights', 'owner', 'keyId', null)
      else (select jsonb_build_object('name', k.name, 'rights', k.rights, 'keyId', k.id) from public.admin_keys k
            where k.id = v_key and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())) end;
  end if;
  if v_identity is null then
    raise exception using errcode = 'LP401', message = 'key_required';
  end if;
  return v_identity;
end
$$;

revoke all on function leadpipe.use_login(text) from public, anon, authenticated;

-- Returns the caller's name, its rights, its agent and, for a session, the expiry time.
create or replace function public.show_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := case when p ? 'auth' then leadpipe.admin_identity(p -> 'auth') else '{"name": "operator", "rights": "owner"}' end;
begin
  return v_identity - 'keyId' || jsonb_build_object('agent', leadpipe.key_agent((v_identity ->> 'keyId')::uuid));
end
$$;

revoke all on function public.show_session(jsonb) from public, anon, authenticated;

grant execute on function public.show_session(jsonb) to leadpipe_admin, service_role;

-- Opens a session for the key in `auth`, or for that of the log-in link `auth.login`. `token` is the SHA-256 of the token
-- that the browser receives. The session ends with its key, at the latest after 12 hours. Also deletes up to 100 expired
-- sessions.
create or replace function public.open_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := case when p -> 'auth' ? 'login' then leadpipe.use_login(p #>> '{auth,login}') else leadpipe.admin_identity(p -> 'auth') end;
  v_expires timestamptz;
begin
  delete from public.admin_sessions where sha256 in (
    select sha256 from public.admin_sessions where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into public.admin_sessions (sha256, key_id, configured_sha256, expires_at)
  values (decode(p ->> 'token', 'hex'), (v_identity ->> 'keyId')::uuid,
    case when v_identity ->> 'keyId' is null then decode(p #>> '{auth,configured}', 'hex') end,
    least(now() + interval '12 hours', (select k.expires_at from public.admin_keys k where k.id = (v_identity ->> 'keyId')::uuid)))
  returning expires_at into v_expires;
  return v_identity - 'keyId' || jsonb_build_object('expiresAt', leadpipe.iso8601(v_expires),
    'agent', leadpipe.key_agent((v_identity ->> 'keyId')::uuid));
end
$$;

revoke all on function public.open_session(jsonb) from public, anon, authenticated;

grant execute on function public.open_session(jsonb) to leadpipe_admin, service_role;

-- Applies `change` to the conversations in `ids`. `change` has the fields of update_conversation and can also have
-- `agentId` and `force`; `agentId` in `clear` unassigns. A failure for one conversation is reported in its result and does not stop the others.
create or replace function public.change_conversations(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_change jsonb;
  a public.agents;
  c public.conversations;
  v_id uuid;
  v_changed boolean;
  v_arguments text;
  v_results jsonb := '{}';
begin
  p := leadpipe.authorize(p, 'write');
  v_change := p -> 'change';
  if v_change ? 'agentId' then
    a := leadpipe.lock_agent((v_change ->> 'agentId')::uuid);
  end if;
  for v_id in select distinct value::uuid as id from jsonb_array_elements_text(p -> 'ids') order by id loop
    begin
      c := leadpipe.lock_conversation(jsonb_build_object('id', v_id));
      v_changed := leadpipe.apply_changes(c, v_change, p ->> 'by');
      if a.id is not null then
        v_changed := leadpipe.assign_to_agent(leadpipe.lock_conversation(jsonb_build_object('id', v_id)), a, p ->> 'by',
          coalesce((v_change ->> 'force')::boolean, false)) or v_changed;
      elsif v_change -> 'clear' ? 'agentId' then
        v_changed := leadpipe.unassign(leadpipe.lock_conversation(jsonb_build_object('id', v_id)), p ->> 'by') or v_changed;
      end if;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', 200, 'changed', v_changed));
    exception when sqlstate 'LP404' or sqlstate 'LP409' or sqlstate 'LP400' then
      get stacked diagnostics v_arguments = pg_exception_detail;
      v_results := v_results || jsonb_build_object(v_id, jsonb_build_object('id', v_id, 'status', right(sqlstate, 3)::integer,
        'changed', false, 'code', sqlerrm, 'arguments', coalesce(nullif(v_arguments, ''), '{}')::jsonb));
    end;
  end loop;
  return jsonb_build_object(
    'changed', (select count(*) from jsonb_each(v_results) r where (r.value ->> 'changed')::boolean),
    'failed', (select count(*) from jsonb_each(v_results) r where r.value ->> 'status' <> '200'),
    -- In the order of the request.
    'results', (select jsonb_agg(v_results -> value order by first)
                from (select value, min(i) as first from jsonb_array_elements_text(p -> 'ids') with ordinality as asked (value, i)
                      group by value) asked));
end
$$;

revoke all on function public.change_conversations(jsonb) from public, anon, authenticated;

grant execute on function public.change_conversations(jsonb) to leadpipe_admin, service_role;

-- Removes a conversation's agent. Raises LP404 if the conversation does not exist, LP412 if it has changed since
-- `versions`. One without an agent stays as it is.
create or replace function public.unassign_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  p := leadpipe.authorize(p, 'write');
  perform leadpipe.unassign(leadpipe.lock_conversation(p), p ->> 'by');
  return jsonb_build_object('status', 'unassigned') || leadpipe.conversation_reply((p ->> 'id')::uuid, p);
end
$$;

revoke all on function public.unassign_conversation(jsonb) from public, anon, authenticated;

grant execute on function public.unassign_conversation(jsonb) to leadpipe_admin, service_role;

-- Returns the words and exact terms of a conversation. Only the latest 50,000 characters of a conversation and the
-- first 20,000 of a message are indexed, because a tsvector holds at most 1 MB. If this is still too much, only the
-- exact terms are indexed.
create or replace function leadpipe.conversation_terms(c public.conversations, p_said text) returns tsvector
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_own text := left(array_to_string(c.tags, ' '), 20000) || ' ' || left(coalesce(c.notes, ''), 20000);
  v_phone text := nullif(left(leadpipe.phone_digits(c.customer_phone), 30), '');
  v_whole text[] := array['s=' || c.status, 'q=' || c.lead_quality, leadpipe.exact_term('i=', c.intent), leadpipe.exact_term('a=', c.preferred_area),
    'g=' || coalesce(c.assigned_agent_id::text, 'none'), leadpipe.exact_term('o=', c.source),
    -- The SLA state, as far as it does not change with time.
    'l=' || case
      when c.first_response_at > c.sla_response_deadline then 'late'
      when c.first_response_at is not null then 'met'
      when c.status not in ('completed', 'lost', 'converted') then 'open'
      when c.sla_breached then 'late' else 'closed' end,
    'p=' || v_phone, 'r=' || reverse(v_phone)];
begin
  if c.tags <> '{}' then
    v_whole := v_whole || array(select leadpipe.exact_term('t=', tag) from unnest(c.tags) as tag);
  end if;
  return setweight(leadpipe.text_words(left(c.customer_name, 1000)), 'A')
    || setweight(leadpipe.text_words(left(c.customer_email, 1000)), 'B')
    || case when v_own = ' ' then '' else setweight(leadpipe.text_words(v_own), 'C') || leadpipe.mail_terms(v_own, 'C') end
    || leadpipe.text_words(p_said)
    || coalesce((leadpipe.quote_lexeme('e=' || left(lower(c.customer_email), 300)) || ':1B')::tsvector, '')
    || coalesce(leadpipe.mail_terms(p_said, 'D'), '')
    || array_to_tsvector(array_remove(v_whole, null));
exception when program_limit_exceeded then
  return array_to_tsvector(array_remove(v_whole, null));
end
$$;

revoke all on function leadpipe.conversation_terms(public.conversations, text) from public, anon, authenticated;

-- Returns the conditions of a search on a row `t` of conversations, as SQL; $1 is the search. The SQL is made of
-- constant strings only.
create or replace function leadpipe.search_conditions(f leadpipe.conversation_search) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  -- Among the agents, this id stands for none.
  c_nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  c_warn constant text :=
    'case t.lead_quality when ''hot'' then ($1).warn_hot when ''warm'' then ($1).warn_warm else ($1).warn_cold end';
begin
  return concat_ws(' and ', 'true',
    case when f.statuses is not null then 't.status = any (($1).statuses)' end,
    case when f.qualities is not null then 't.lead_quality = any (($1).qualities)' end,
    case when f.intents is not null then 't.intent = any (($1).intents)' end,
    case when f.areas is not null then 't.preferred_area = any (($1).areas)' end,
    case when c_nobody <> all (f.agents) then 't.assigned_agent_id = any (($1).agents)'
      when cardinality(f.agents) = 1 then 't.assigned_agent_id is null'
      when f.agents is not null then '(t.assigned_agent_id is null or t.assigned_agent_id = any (($1).agents))' end,
    case when f.tags is not null then 't.tags @> ($1).tags' end,
    case when f.sources is not null then 't.source = any (($1).sources)' end,
    case when f.least_score is not null then 't.lead_score between ($1).least_score and ($1).most_score' end,
    case when f.since is not null then 't.created_at >= ($1).since' end,
    case when f.until is not null then 't.created_at < ($1).until' end,
    (select '(' || string_agg(case state
       when 'due-today' then 't.follow_up_date >= ($1).today and t.follow_up_date < ($1).tomorrow'
       when 'overdue' then 't.follow_up_date < ($1).now'
       when 'scheduled' then 't.follow_up_date >= ($1).now' end, ' or ') || ')' from unnest(f.follow_ups) as state),
    -- Same rule as in sla_state.
    (select '(' || string_agg(case state
       when 'met' then 't.first_response_at is not null and (t.first_response_at > t.sla_response_deadline) is not true'
       when 'breached' then 't.first_response_at > t.sla_response_deadline or t.first_response_at is null and '
         'case when t.status in (''completed'', ''lost'', ''converted'') then t.sla_breached else t.sla_response_deadline <= ($1).now end'
       when 'warning' then 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
         'and t.sla_response_deadline > ($1).now and t.sla_response_deadline <= ' || c_warn
         -- Lets the planner use the partial index on open deadlines.
         || ' and t.sla_response_deadline <= greatest(($1).warn_hot, ($1).warn_warm, ($1).warn_cold)'
       when 'ok' then 't.first_response_at is null and case when t.status in (''completed'', ''lost'', ''converted'') then not t.sla_breached '
         'else (t.sla_response_deadline <= ($1).now) is not true and (t.sla_response_deadline <= ' || c_warn || ') is not true end'
       end, ' or ') || ')' from unnest(f.sla_states) as state));
end
$$;

revoke all on function leadpipe.search_conditions(leadpipe.conversation_search) from public, anon, authenticated;

-- Returns the part of a search that the word index can answer: its words and exact terms, combined. Null if there are
-- none. Of the SLA state, the index contains only what does not change with time.
create or replace function leadpipe.search_terms(f leadpipe.conversation_search) returns tsquery
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return nullif(concat_ws('&', '(' || f.wanted::text || ')',
    leadpipe.any_exact_term('s=', f.statuses), leadpipe.any_exact_term('q=', f.qualities), leadpipe.any_exact_term('i=', f.intents),
    leadpipe.any_exact_term('a=', f.areas), leadpipe.any_exact_term('g=', array_replace(f.agents::text[], '00000000-0000-0000-0000-000000000000', 'none')), leadpipe.any_exact_term('o=', f.sources),
    leadpipe.any_exact_term('l=', array(
      select distinct answer from unnest(f.sla_states) as state,
        unnest(case state when 'met' then '{met}' when 'breached' then '{late,open}' when 'warning' then '{open}' else '{closed,open}' end::text[])
        as answer)),
    leadpipe.any_exact_term('t=', f.tags, '&')), '');
end
$$;

revoke all on function leadpipe.search_terms(leadpipe.conversation_search) from public, anon, authenticated;

comment on column public.admin_keys.agent_id is 'The agent who uses the key; null if it is no agent''s.';

comment on column public.admin_keys.expires_at is 'The time from which the key is refused; null if it does not expire.';

comment on column public.conversation_words.words is 'Words of the name (weight A), email address (B), tags and notes (C) and messages (D). Exact terms: e= email addresses,
p= phone number, r= phone number reversed, s= status, q= quality, i= intent, a= area, g= agent or none, o= source, l= first response, t= tags.';
