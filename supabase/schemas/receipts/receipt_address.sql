-- Returns an address in the form by which receipts are counted, so that its other spellings count as the same: in lower
-- case, without what follows a +, and for Gmail without dots.
create or replace function leadpipe.receipt_address(p_email text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case when domain in ('gmail.com', 'googlemail.com') then replace(name, '.', '') || '@gmail.com' else name || '@' || domain end
  from (select split_part(split_part(lower(p_email), '@', 1), '+', 1) as name, rtrim(split_part(lower(p_email), '@', 2), '.') as domain) parts
$$;
revoke all on function leadpipe.receipt_address(text) from public, anon, authenticated;
