-- Removes what an earlier program has written about conversations, and what the migrations have set aside: columns and
-- tables whose names end in _before_leadpipe. Values that other columns or tables of such a program contain are not
-- known here.
create or replace function leadpipe.erase_set_aside(p_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_part record;
begin
  for v_part in
    select c.oid::regclass as relation, k.attname as key, bool_or(k.atttypid = 'uuid'::regtype) as is_uuid,
      string_agg(format('%I = %s', a.attname, case when not a.attnotnull then 'null' when t.typcategory = 'S' then $q$''$q$ else $q$'{}'$q$ end), ', ') as erased
    from pg_class c
      join pg_attribute k on k.attrelid = c.oid and not k.attisdropped
        and k.attname = case when c.relname = 'conversations' then 'id' else 'conversation_id' end
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attname <> k.attname
      join pg_type t on t.oid = a.atttypid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
      and (a.attname like '%\_before\_leadpipe' and not a.attnotnull
        or c.relname like '%\_before\_leadpipe' and a.attname not in ('status', 'channel', 'event_type')
          and (t.typcategory = 'S' or t.oid in ('json'::regtype, 'jsonb'::regtype, 'text[]'::regtype)))
    group by 1, 2
  loop
    -- Without a cast, the index of the key is used.
    execute format('update %s set %s where ' || case when v_part.is_uuid then '%I = any ($1)' else '%I::text = any ($1::text[])' end,
      v_part.relation, v_part.erased, v_part.key) using p_ids;
  end loop;
end
$$;
revoke all on function leadpipe.erase_set_aside(uuid[]) from public, anon, authenticated;
