-- For panels that subscribe to changes through Supabase Realtime, where row-level security applies too.
do $$
declare
  v_table regclass;
begin
  if exists (select from pg_publication where pubname = 'supabase_realtime') then
    foreach v_table in array array['public.conversations', 'public.lead_events', 'public.conversation_timeline']::regclass[] loop
      if not exists (select from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
                     where p.pubname = 'supabase_realtime' and r.prrelid = v_table) then
        execute format('alter publication supabase_realtime add table %s', v_table);
      end if;
    end loop;
  end if;
exception when insufficient_privilege then
  raise notice 'supabase_realtime belongs to another role and was not changed';
end
$$;
