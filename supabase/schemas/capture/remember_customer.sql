-- Stores that a phone number and an email address belong to a customer. Returns the customer to whom they belong, who
-- may be another one if a concurrent request stored the same person first. The phone number is stored before the email
-- address, so that two requests cannot deadlock.
create or replace function leadpipe.remember_customer(p_phone text, p_email text, p_customer uuid) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_customer uuid := p_customer;
  v_new_phone boolean := false;
begin
  if p_phone is not null then
    insert into public.customer_identities (kind, value, customer_id) values ('phone', p_phone, v_customer)
    on conflict do nothing;
    v_new_phone := found;
    if not v_new_phone then
      select customer_id into v_customer from public.customer_identities where kind = 'phone' and value = p_phone;
    end if;
  end if;

  if p_email is not null then
    insert into public.customer_identities (kind, value, customer_id) values ('email', p_email, v_customer)
    on conflict do nothing;
    -- The email address exists already. Its customer is used unless the phone number existed already too.
    if not found and (p_phone is null or v_new_phone) then
      select customer_id into v_customer from public.customer_identities where kind = 'email' and value = p_email;
      update public.customer_identities set customer_id = v_customer
      where kind = 'phone' and value = p_phone and customer_id <> v_customer;
    end if;
  end if;
  return v_customer;
end
$$;
revoke all on function leadpipe.remember_customer(text, text, uuid) from public, anon, authenticated;
