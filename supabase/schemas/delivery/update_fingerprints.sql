-- Stores a fingerprint of each channel's settings, which a worker reports when it starts. A changed fingerprint ends a
-- pause that the old settings caused, but not one that a provider requested.
create or replace function leadpipe.update_fingerprints(p_fingerprints jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
begin
  for v_channel in
    select n.channel from public.notification_channels n join jsonb_each_text(p_fingerprints) f on f.key = n.channel::text
    where n.settings_fingerprint <> f.value and n.fail_streak > 0 order by n.channel
  loop
    perform leadpipe.end_pause(v_channel);
  end loop;
  insert into public.notification_channels as n (channel, settings_fingerprint)
  select f.key::public.notification_channel, f.value from jsonb_each_text(p_fingerprints) f order by 1
  on conflict (channel) do update set settings_fingerprint = excluded.settings_fingerprint
  where n.settings_fingerprint is distinct from excluded.settings_fingerprint;
end
$$;
revoke all on function leadpipe.update_fingerprints(jsonb) from public, anon, authenticated;
