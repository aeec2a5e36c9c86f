-- Returns for how many seconds a channel had been paused in total at `p_at`, which must not be before the start of the
-- channel's latest pause.
create or replace function leadpipe.paused_seconds(p_channel public.notification_channel, p_at timestamptz) returns double precision
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce((select n.paused_seconds
      + coalesce(greatest(extract(epoch from least(p_at, n.paused_until) - n.paused_since), 0), 0)
    from public.notification_channels n where n.channel = p_channel), 0)::double precision;
end
$$;
revoke all on function leadpipe.paused_seconds(public.notification_channel, timestamptz) from public, anon, authenticated;
