-- Returns the argument of capture_lead with a key for a request that has none. The key names its content and its client,
-- so that a request that a browser sends again is a repeat. A client's own key has no space.
create or replace function leadpipe.name_repeat(p jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when p #>> '{idempotency,client}' is null or p #>> '{idempotency,key}' is not null then p
    else jsonb_set(p, '{idempotency,key}', to_jsonb('repeat ' || encode(sha256(convert_to(
      (p #>> '{idempotency,client}') || ' ' || coalesce(p #>> '{idempotency,content}', ''), 'UTF8')), 'hex')))
  end
$$;
revoke all on function leadpipe.name_repeat(jsonb) from public, anon, authenticated;
