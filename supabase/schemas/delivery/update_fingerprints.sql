-- Stores a fingerprint of each channel's settings, which a worker reports when it starts. A changed fingerprint ends a
-- pause that the old settings caused, but not one that a provider requested. A channel that another session has locked
-- keeps its old fingerprint, and its pause, until the next worker starts.
create or replace function leadpipe.update_fingerprints(p_fingerprints jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_channel public.notification_channel;
  v_held public.notification_channel[];
begin
  select coalesce(array_agg(channel), '{}') into v_held from (
    select n.channel from public.notification_channels n where p_fingerprints ? n.channel::text
    order by n.channel for no key update skip locked) n;
  for v_channel in
    select n.channel from public.notification_channels n join jsonb_each_text(p_fingerprints) f on f.key = n.channel::text
    where n.channel = any (v_held) and n.settings_fingerprint <> left(f.value, 200) and n.fail_streak > 0 order by n.channel
  loop
    perform leadpipe.end_pause(v_channel);
  end loop;
  update public.notification_channels n set settings_fingerprint = left(f.value, 200) from jsonb_each_text(p_fingerprints) f
  where n.channel = any (v_held) and f.key = n.channel::text and n.settings_fingerprint is distinct from left(f.value, 200);
  insert into public.notification_channels (channel, settings_fingerprint)
  select f.key::public.notification_channel, left(f.value, 200) from jsonb_each_text(p_fingerprints) f
  where not exists (select from public.notification_channels n where n.channel::text = f.key)
  order by 1 on conflict do nothing;
end
$$;
revoke all on function leadpipe.update_fingerprints(jsonb) from public, anon, authenticated;
