-- Returns the customer of the phone number `phone` (E.164) or the email address `email`: the one to whom it belongs, else
-- the one of the latest conversation with it, as in a database from before Leadpipe. Null if there is none.
create or replace function leadpipe.customer_of(p jsonb) returns uuid
language sql stable set search_path = pg_catalog, pg_temp set jit = off as $$
  select coalesce(
    (select i.customer_id from public.customer_identities i
     where (i.kind = 'phone' and i.value = p ->> 'phone') or (i.kind = 'email' and i.value = lower(p ->> 'email'))
     order by i.kind desc limit 1),
    (select c.customer_id from public.conversations c
     where (c.customer_phone = p ->> 'phone' or lower(c.customer_email) = lower(p ->> 'email')) and c.customer_id is not null
     order by c.created_at desc, c.id desc limit 1))
$$;
revoke all on function leadpipe.customer_of(jsonb) from public, anon, authenticated;
