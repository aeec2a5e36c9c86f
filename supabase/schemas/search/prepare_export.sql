-- Checks an export and updates the word index for its query. This is a transaction of its own, because an export takes
-- long: nothing that it writes may stay locked meanwhile. Returns the caller and how many changed conversations are not
-- in the word index.
create or replace function public.prepare_export(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_behind bigint := 0;
begin
  p := leadpipe.authorize(p, 'read');
  perform leadpipe.read_search(p);
  if p ->> 'query' is not null then
    v_behind := leadpipe.index_conversations(100000, 5000);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'conversations.exported', null);
  return jsonb_build_object('by', p -> 'by', 'unindexed', v_behind);
end
$$;
revoke all on function public.prepare_export(jsonb) from public, anon, authenticated;
grant execute on function public.prepare_export(jsonb) to leadpipe_admin, service_role;
