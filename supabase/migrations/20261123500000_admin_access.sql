-- Who may use the admin interface, and how a conversation is shown there. Additive, and may be run again as a whole at any time.
-- An admin function begins with `p := public.admitted(p, …)`: whoever calls it with `auth` is looked up there, with the right that is
-- needed. Without `auth` it is the operator, who holds the login by hand. What a client may be told of an error has an SQLSTATE
-- of ours, LP and the HTTP status: the message goes out as it stands here, and for LP400 the column names the field.

create table if not exists public.admin_keys (
  id uuid constraint admin_keys_pkey primary key default gen_random_uuid()
);
alter table public.admin_keys
  add column if not exists name text not null,
  add column if not exists rights text not null
    constraint admin_keys_rights_check check (rights in ('read', 'write', 'owner')),
  add column if not exists sha256 bytea not null constraint admin_keys_sha256_key unique,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists last_used_at timestamptz,
  add column if not exists revoked_at timestamptz;
-- A name may be given again once its key is revoked: the timeline says who it was by name and time.
create unique index if not exists admin_keys_name_key on public.admin_keys (name) where revoked_at is null;
comment on table public.admin_keys is 'Keys to the admin interface beside ADMIN_API_KEY. The key itself is nowhere.';
comment on column public.admin_keys.last_used_at is 'To the minute.';

create table if not exists public.admin_sessions (
  sha256 bytea constraint admin_sessions_pkey primary key
);
alter table public.admin_sessions
  add column if not exists key_id uuid constraint admin_sessions_key_id_fkey references public.admin_keys (id) on delete cascade,
  add column if not exists configured_sha256 bytea,
  add column if not exists created_at timestamptz not null default now(),
  add column if not exists expires_at timestamptz not null default now() + interval '12 hours';
create index if not exists admin_sessions_expires_at_idx on public.admin_sessions (expires_at);
comment on table public.admin_sessions is 'Browsers that have shown a key. A session ends by log-out, by time, and with its key.';
comment on column public.admin_sessions.sha256 is 'Of the token, which only the browser has.';
comment on column public.admin_sessions.configured_sha256 is 'Of the ADMIN_API_KEY that opened it; null where key_id did.';

-- ── Who asks ──────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Who asks: {name, rights, keyId, expiresAt}. `auth` is one of
--   {"configured": "<sha256>"}                       ADMIN_API_KEY, which the caller has compared himself
--   {"key": "<sha256>"}                              a key of admin_keys
--   {"session": "<sha256>", "configured": "<sha256>"}   a session; configured is what ADMIN_API_KEY is now
create or replace function public.admin_identity(p_auth jsonb) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb;
  v_key uuid;
begin
  if p_auth ? 'key' then
    select id, jsonb_build_object('name', name, 'rights', rights, 'keyId', id) into v_key, v_identity
    from public.admin_keys where sha256 = decode(p_auth ->> 'key', 'hex') and revoked_at is null;
  elsif p_auth ? 'session' then
    select k.id, jsonb_build_object('name', coalesce(k.name, 'ADMIN_API_KEY'), 'rights', coalesce(k.rights, 'owner'), 'keyId', k.id,
      'expiresAt', public.iso8601(s.expires_at))
    into v_key, v_identity
    from public.admin_sessions s left join public.admin_keys k on k.id = s.key_id
    where s.sha256 = decode(p_auth ->> 'session', 'hex') and s.expires_at > clock_timestamp()
      and case when s.key_id is null then s.configured_sha256 = decode(p_auth ->> 'configured', 'hex') else k.revoked_at is null end;
  elsif p_auth ? 'configured' then
    v_identity := jsonb_build_object('name', 'ADMIN_API_KEY', 'rights', 'owner', 'keyId', null);
  end if;
  if v_identity is null then
    raise exception using errcode = 'LP401', message = 'a valid key or session is needed';
  end if;
  if v_key is not null then
    -- Whoever has it locked notes the same: nobody waits.
    update public.admin_keys set last_used_at = now()
    where id = (select id from public.admin_keys
                where id = v_key and (last_used_at is null or last_used_at < now() - interval '1 minute') for no key update skip locked);
  end if;
  return v_identity;
end
$$;

-- The argument of an admin function without `auth`, and with `by`, who it is.
create or replace function public.admitted(p jsonb, p_right text) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb;
  v_rights constant text[] := '{read,write,owner}';
begin
  if not p ? 'auth' then
    return p || jsonb_build_object('by', coalesce(p ->> 'by', 'operator'));
  end if;
  v_identity := public.admin_identity(p -> 'auth');
  if array_position(v_rights, v_identity ->> 'rights') < array_position(v_rights, p_right) then
    raise exception using errcode = 'LP403', message = format('this key may %s only', case v_identity ->> 'rights' when 'read' then 'read' else 'work with leads' end);
  end if;
  return p - 'auth' || jsonb_build_object('by', v_identity ->> 'name');
end
$$;

-- Who asks, and nothing else.
create or replace function public.show_session(p jsonb) returns jsonb
language sql security definer set search_path = pg_catalog, pg_temp as $$
  select case when p ? 'auth' then public.admin_identity(p -> 'auth') - 'keyId' else '{"name": "operator", "rights": "owner"}' end
$$;

-- Opens a session for the key in `auth`; `token` is the SHA-256 of what the browser gets. Old ones are forgotten.
create or replace function public.open_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_identity jsonb := public.admin_identity(p -> 'auth');
  v_expires timestamptz;
begin
  delete from public.admin_sessions where sha256 in (
    select sha256 from public.admin_sessions where expires_at < now() order by expires_at limit 100 for update skip locked);
  insert into public.admin_sessions (sha256, key_id, configured_sha256)
  values (decode(p ->> 'token', 'hex'), (v_identity ->> 'keyId')::uuid,
    case when v_identity ->> 'keyId' is null then decode(p #>> '{auth,configured}', 'hex') end)
  returning expires_at into v_expires;
  return v_identity - 'keyId' || jsonb_build_object('expiresAt', public.iso8601(v_expires));
end
$$;

-- Ends the session in `auth`.
create or replace function public.close_session(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform public.admin_identity(p -> 'auth');
  delete from public.admin_sessions where sha256 = decode(p #>> '{auth,session}', 'hex');
  return '{}';
end
$$;

-- ── Places in a list ──────────────────────────────────────────────────────────────────────────────────────────────────

-- A place in a list as the client keeps it: JSON in base64url, which it is not to look into.
create or replace function public.cursor_of(p jsonb) returns text language plpgsql immutable as $$
begin
  return translate(encode(convert_to(p::text, 'UTF8'), 'base64'), E'+/=\n', '-_');
end
$$;

-- What cursor_of was given, where it was of this list and order and has so many parts; else LP400.
create or replace function public.cursor_parts(p text, p_order text, p_parts integer) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_parts jsonb;
begin
  if p ~ '^[A-Za-z0-9_-]+$' and length(p) <= 400 then
    v_parts := convert_from(decode(translate(p, '-_', '+/') || repeat('=', -length(p) & 3), 'base64'), 'UTF8');
  end if;
  if v_parts ->> 0 is distinct from p_order or jsonb_array_length(v_parts) <> p_parts then
    raise exception using errcode = 'LP400';
  end if;
  return v_parts;
exception when others then
  raise exception using errcode = 'LP400', message = 'is no cursor of this list', column = 'cursor';
end
$$;

-- The cursor of a row in a list that is ordered by time and id; null for no row.
create or replace function public.cursor_at(p_list text, p_at timestamptz, p_id uuid) returns text language sql stable as $$
  select public.cursor_of(jsonb_build_array(p_list, p_at, p_id)) where p_id is not null
$$;

-- The place {at, id} that it names; null for no cursor.
create or replace function public.cursor_place(p_list text, p_cursor text) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_parts jsonb;
begin
  if p_cursor is not null then
    v_parts := public.cursor_parts(p_cursor, p_list, 3);
    return jsonb_build_object('at', (v_parts ->> 1)::timestamptz, 'id', (v_parts ->> 2)::uuid);
  end if;
  return null;
exception when data_exception then
  raise exception using errcode = 'LP400', message = 'is no cursor of this list', column = 'cursor';
end
$$;

-- ── Keys, for the operator ────────────────────────────────────────────────────────────────────────────────────────────

create or replace function public.admin_key_document(k public.admin_keys) returns jsonb language sql stable as $$
  select jsonb_build_object('name', k.name, 'rights', k.rights, 'createdAt', public.iso8601(k.created_at),
    'lastUsedAt', public.iso8601(k.last_used_at), 'revokedAt', public.iso8601(k.revoked_at))
$$;

create or replace function public.create_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_key public.admin_keys;
begin
  if lower(p ->> 'name') in ('admin_api_key', 'operator', 'system') then
    raise exception using errcode = 'LP409', message = 'this name says somebody else in a timeline';
  end if;
  insert into public.admin_keys (name, rights, sha256)
  values (p ->> 'name', p ->> 'rights', decode(p ->> 'sha256', 'hex')) returning * into v_key;
  return public.admin_key_document(v_key);
exception when unique_violation then
  raise exception using errcode = 'LP409', message = 'there is a key of this name';
end
$$;

create or replace function public.list_admin_keys(p jsonb default '{}') returns jsonb
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('keys', coalesce(jsonb_agg(public.admin_key_document(k) order by k.created_at, k.id), '[]'))
  from public.admin_keys k
$$;

create or replace function public.revoke_admin_key(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_key public.admin_keys;
begin
  update public.admin_keys set revoked_at = clock_timestamp() where name = p ->> 'name' and revoked_at is null returning * into v_key;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no key of this name';
  end if;
  delete from public.admin_sessions where key_id = v_key.id;
  return public.admin_key_document(v_key);
end
$$;

-- ── A conversation as it is shown ─────────────────────────────────────────────────────────────────────────────────────

-- How a conversation stands to its promised first answer: met, breached, warning or ok. `p -> warnBefore` names for each quality the
-- instant such that a deadline at or before it is near. What was closed unanswered was missed only if its deadline passed before.
create or replace function public.sla_state(c public.conversations, p jsonb) returns text
language sql stable as $$
  select case
    when c.first_response_at is not null then
      case when c.first_response_at > c.sla_response_deadline then 'breached' else 'met' end
    when c.status in ('completed', 'lost', 'converted') then case when c.sla_breached then 'breached' else 'ok' end
    when c.sla_response_deadline <= now() then 'breached'
    when c.sla_response_deadline <= (p #>> array['warnBefore', c.lead_quality])::timestamptz then 'warning'
    else 'ok' end
$$;

-- The ConversationDTO, without its messages.
create or replace function public.conversation_document(c public.conversations, p jsonb default '{}') returns jsonb
language sql stable as $$
  select jsonb_build_object(
      'id', c.id, 'customerId', c.customer_id, 'customerName', c.customer_name, 'customerPhone', c.customer_phone,
      'customerEmail', c.customer_email, 'startTime', public.iso8601(c.start_time), 'endTime', public.iso8601(c.end_time),
      'durationMinutes', c.duration_minutes, 'status', c.status, 'leadScore', c.lead_score, 'leadQuality', c.lead_quality,
      'budget', c.budget, 'propertyType', c.property_type, 'preferredArea', c.preferred_area, 'intent', c.intent,
      'assignedAgentId', c.assigned_agent_id,
      'assignedAgentName', (select a.name from public.agents a where a.id = c.assigned_agent_id),
      'tags', to_jsonb(c.tags), 'notes', c.notes)
    || jsonb_build_object(
      'followUpDate', public.iso8601(c.follow_up_date), 'outcome', c.outcome, 'conversionValue', c.conversion_value,
      'leadScoreBreakdown', c.lead_score_breakdown, 'source', c.source, 'metadata', c.metadata,
      'firstResponseAt', public.iso8601(c.first_response_at),
      'slaResponseDeadline', public.iso8601(c.sla_response_deadline), 'slaBreached', state = 'breached', 'slaState', state,
      'lastMessageSnippet', left(last.message_text, 120), 'lastMessageAt', public.iso8601(last."timestamp"),
      'unreadCount', (select count(*) from public.chat_messages m
                      where m.conversation_id = c.id and m.sender = 'customer' and not m.is_read),
      'createdAt', public.iso8601(c.created_at), 'updatedAt', public.iso8601(c.updated_at))
  from (select public.sla_state(c, p)) as sla (state)
  left join lateral (
    select m.message_text, m."timestamp" from public.chat_messages m where m.conversation_id = c.id
    order by m."timestamp" desc, m.created_at desc limit 1) last on true
$$;

create or replace function public.message_document(m public.chat_messages) returns jsonb language sql stable as $$
  select jsonb_build_object('id', m.id, 'sender', m.sender, 'messageText', m.message_text, 'messageType', m.message_type,
    'timestamp', public.iso8601(m."timestamp"), 'isRead', m.is_read, 'metadata', m.metadata)
$$;

-- What a conversation's ETag is made of: it changes with each change of its row.
create or replace function public.conversation_version(c public.conversations) returns text language sql immutable as $$
  select to_hex((extract(epoch from c.updated_at) * 1000000)::bigint)
$$;

-- The conversation `id`; LP404 where there is none.
create or replace function public.conversation_of(p jsonb) returns public.conversations
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c public.conversations;
begin
  select * into c from public.conversations where id = (p ->> 'id')::uuid;
  if not found then
    raise exception using errcode = 'LP404', message = 'there is no such conversation';
  end if;
  return c;
end
$$;

-- One conversation with its newest messages, up to 1,000 of them and 400 kB, and its version.
create or replace function public.show_conversation(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan as $$
declare
  c public.conversations;
begin
  p := public.admitted(p, 'read');
  c := public.conversation_of(p);
  return jsonb_build_object(
    'version', public.conversation_version(c),
    'conversation', public.conversation_document(c, p) || jsonb_build_object('messages', (
      select coalesce(jsonb_agg(public.message_document(m) order by (m)."timestamp", (m).created_at), '[]')
      from (select m, sum(octet_length((m).message_text) + octet_length(coalesce((m).metadata::text, '')))
                      over (order by (m)."timestamp" desc, (m).created_at desc rows unbounded preceding) as bytes
            from (select m from public.chat_messages m where m.conversation_id = c.id
                  order by m."timestamp" desc, m.created_at desc limit 1000) newest) sized
      where bytes <= 400000)));
end
$$;

-- ── Rights ────────────────────────────────────────────────────────────────────────────────────────────────────────────

do $$
begin
  perform public.protect_table('public.admin_keys');
  perform public.protect_table('public.admin_sessions');
  -- Not even an admin of the panel reads these.
  revoke select on public.admin_keys, public.admin_sessions from authenticated;
  perform public.protect_function('public.admin_identity(jsonb)');
  perform public.protect_function('public.admitted(jsonb, text)');
  perform public.protect_function('public.admin_key_document(public.admin_keys)');
  perform public.protect_function('public.cursor_of(jsonb)');
  perform public.protect_function('public.cursor_parts(text, text, integer)');
  perform public.protect_function('public.cursor_at(text, timestamptz, uuid)');
  perform public.protect_function('public.cursor_place(text, text)');
  perform public.protect_function('public.sla_state(public.conversations, jsonb)');
  perform public.protect_function('public.conversation_document(public.conversations, jsonb)');
  perform public.protect_function('public.message_document(public.chat_messages)');
  perform public.protect_function('public.conversation_version(public.conversations)');
  perform public.protect_function('public.conversation_of(jsonb)');
  perform public.protect_function('public.show_session(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.open_session(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.close_session(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.create_admin_key(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.list_admin_keys(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.revoke_admin_key(jsonb)', 'leadpipe_admin');
  perform public.protect_function('public.show_conversation(jsonb)', 'leadpipe_admin');
end
$$;
