-- Refuses to change or delete rows of an append-only table, so that the owner does not do it by accident. (The owner can
-- drop the trigger.)
create or replace function leadpipe.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end
$$;
revoke all on function leadpipe.refuse_change() from public, anon, authenticated;
