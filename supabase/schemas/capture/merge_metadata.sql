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
