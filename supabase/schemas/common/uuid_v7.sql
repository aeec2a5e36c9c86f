-- Returns a new UUID of version 7 (RFC 9562): 48 bits of time in milliseconds, then random bits. Rows that are inserted
-- together get neighbouring ids, so an insert changes few pages of an index. The id shows when it was made.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.uuid_v7() returns uuid
language sql volatile parallel safe as $$
  select pg_catalog.encode(
    pg_catalog.set_bit(pg_catalog.set_bit(
      overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()) placing
        substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      -- From version 4 to version 7.
      52, 1), 53, 1), 'hex')::uuid
$$;
revoke all on function leadpipe.uuid_v7() from public, anon, authenticated;
-- A role that inserts rows needs the default of their ids.
grant execute on function leadpipe.uuid_v7() to service_role;
