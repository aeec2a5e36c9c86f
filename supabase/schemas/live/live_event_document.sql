-- Returns what listeners of the live feed receive about an event, apart from its id and time: its kind and the current
-- data.
create or replace function leadpipe.live_event_document(p_type text, p_conversation uuid, p_payload jsonb, p jsonb) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_type like 'notification.%' then jsonb_build_object('event', 'delivery', 'data', jsonb_build_object(
      'deliveryId', p_payload -> 'deliveryId', 'channel', p_payload -> 'channel', 'status', split_part(p_type, '.', 2),
      'reason', (select d.error_message from public.notification_logs d where d.id = (p_payload ->> 'deliveryId')::uuid)))
    else jsonb_build_object(
      'event', case
        -- What is kept aside as spam is no new lead for anybody.
        when p_type = 'lead.created' and not exists (select from public.conversations c where c.id = p_conversation and c.status = 'spam')
        then p_type when p_type like 'lead.%' then 'lead.updated' else 'sla' end,
      'data', jsonb_build_object('conversation',
        (select leadpipe.conversation_document(c, p) from public.conversations c where c.id = p_conversation))) end
$$;
revoke all on function leadpipe.live_event_document(text, uuid, jsonb, jsonb) from public, anon, authenticated;
