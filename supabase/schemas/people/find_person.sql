-- Returns the person with the phone number `phone` (E.164) or the email address `email`: all numbers and addresses of
-- the same customer, and the conversations and subscriptions with any of them. Raises LP404 if nothing is found.
create or replace function leadpipe.find_person(
  p jsonb, out phones text[], out emails text[], out conversations uuid[], out subscribers uuid[])
language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  v_customers uuid[];
begin
  phones := array_remove(array[p ->> 'phone'], null);
  emails := array_remove(array[lower(p ->> 'email')], null);
  v_customers := array(
    select i.customer_id from public.customer_identities i
    where (i.kind = 'phone' and i.value = any (phones)) or (i.kind = 'email' and i.value = any (emails)));
  phones := array(select unnest(phones) union
    select i.value from public.customer_identities i where i.kind = 'phone' and i.customer_id = any (v_customers) order by 1);
  emails := array(select unnest(emails) union
    select i.value from public.customer_identities i where i.kind = 'email' and i.customer_id = any (v_customers) order by 1);
  conversations := array(
    select c.id from public.conversations c
    where c.customer_id = any (v_customers) or c.customer_phone = any (phones) or lower(c.customer_email) = any (emails)
    order by c.id);
  subscribers := array(select s.id from public.newsletter_subscribers s where lower(s.email) = any (emails) order by s.id);
  if v_customers = '{}' and conversations = '{}' and subscribers = '{}' then
    raise exception using errcode = 'LP404', message = 'person_not_found';
  end if;
end
$$;
revoke all on function leadpipe.find_person(jsonb) from public, anon, authenticated;
