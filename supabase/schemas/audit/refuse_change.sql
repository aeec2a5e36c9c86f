-- Refuses to change or delete rows, for a table that is append-only for its owner too.
create or replace function leadpipe.refuse_change() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end
$$;
revoke all on function leadpipe.refuse_change() from public, anon, authenticated;
