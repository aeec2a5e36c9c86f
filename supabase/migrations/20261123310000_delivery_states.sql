-- list_deliveries takes every state that it shows: `claimed` is a part of `pending`, as `waiting`, `parked` and `given-up` are
-- parts of `failed`.

create or replace function public.list_deliveries(p jsonb) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_limit integer := least(coalesce((p ->> 'limit')::integer, 50), 1000);
  v_status text := p ->> 'status';
  v_found jsonb;
begin
  select coalesce(jsonb_agg(public.delivery_document(to_jsonb(d)) || jsonb_build_object('eventType', e.event_type) order by d.created_at desc, d.id desc), '[]')
  into v_found
  from (
    select d.* from public.notification_logs d
    where (v_status is null
        or d.status = case
          when v_status = 'claimed' then 'pending'
          when v_status in ('waiting', 'parked', 'given-up') then 'failed'
          else v_status end)
      and (v_status is distinct from 'claimed' or d.lease_until > now())
      and (v_status is distinct from 'waiting' or d.next_attempt_at is not null)
      and (coalesce(v_status, '') not in ('parked', 'given-up') or d.next_attempt_at is null)
      and (v_status is distinct from 'parked' or d.outcome_class = 'unknown')
      and (v_status is distinct from 'given-up' or d.outcome_class is distinct from 'unknown')
      and (p ->> 'channel' is null or d.channel = (p ->> 'channel')::public.notification_channel)
      and (p ->> 'class' is null or d.outcome_class = p ->> 'class')
      and (p ->> 'since' is null or d.created_at >= (p ->> 'since')::timestamptz)
    order by d.created_at desc, d.id desc limit v_limit + 1
  ) d join public.lead_events e on e.id = d.lead_event_id;
  return jsonb_build_object(
    'deliveries', case when jsonb_array_length(v_found) > v_limit then v_found - v_limit else v_found end,
    'isComplete', jsonb_array_length(v_found) <= v_limit);
end
$$;
