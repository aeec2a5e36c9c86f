-- Deletes a subscriber and the events that contain the address, with their deliveries. Deliveries that have not been
-- sent are never sent. The address can be subscribed again later, as a new subscriber. Raises LP404 if the subscriber
-- does not exist.
create or replace function public.delete_subscriber(p jsonb) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_email text;
  v_events uuid[];
begin
  p := leadpipe.authorize(p, 'owner');
  delete from public.newsletter_subscribers where id = (p ->> 'id')::uuid returning lower(email) into v_email;
  if not found then
    raise exception using errcode = 'LP404', message = 'subscriber_not_found';
  end if;
  -- The clean-up drops this table.
  if to_regclass('public.lead_events') is not null then
    -- Lock events first, as in all functions. FOR UPDATE also keeps new deliveries from being added to them.
    select array_agg(id) into v_events from (
      select e.id from public.lead_events e
      where e.event_type = 'newsletter.subscribed' and lower(e.payload ->> 'email') = v_email order by e.id for update) held;
    delete from public.lead_events e where e.id = any (v_events);
  end if;
  perform leadpipe.record_audit(p ->> 'by', 'subscriber.deleted', p ->> 'id');
  return jsonb_build_object('success', true, 'id', p -> 'id');
end
$$;
revoke all on function public.delete_subscriber(jsonb) from public, anon, authenticated;
grant execute on function public.delete_subscriber(jsonb) to leadpipe_admin, service_role;
