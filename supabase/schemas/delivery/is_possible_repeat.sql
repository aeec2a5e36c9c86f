-- True if the recipient may have received this event before: an earlier attempt has outcome unknown, or another
-- delivery of the same event was sent or has outcome unknown.
create or replace function leadpipe.is_possible_repeat(p_id uuid, p_event uuid, p_channel public.notification_channel, p_recipient text)
returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from public.notification_attempts a where a.delivery = p_id and a.class = 'unknown')
    or exists (select from public.notification_logs d
               where d.lead_event_id = p_event and d.channel = p_channel and d.recipient = p_recipient and d.id <> p_id
                 and (d.status in ('sent', 'delivered') or d.outcome_class = 'unknown'))
$$;
revoke all on function leadpipe.is_possible_repeat(uuid, uuid, public.notification_channel, text) from public, anon, authenticated;
