-- Returns the digits of a phone number in E.164: without 00, and with country code 971 in place of a trunk 0.
create or replace function leadpipe.phone_digits(p text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_digits text := regexp_replace(leadpipe.fold_text(p), '[^0-9]', '', 'g');
begin
  return case
    when v_digits like '00%' then regexp_replace(substr(v_digits, 3), '^9710', '971')
    when p ~ '^\s*[+＋]' or v_digits like '971%' then regexp_replace(v_digits, '^9710', '971')
    when v_digits like '0%' then '971' || substr(v_digits, 2)
    else v_digits end;
end
$$;
revoke all on function leadpipe.phone_digits(text) from public, anon, authenticated;
