-- Returns the string in Unicode NFC. Most strings are in NFC already: ASCII always is, and checking is cheaper than
-- normalizing.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.to_nfc(p text) returns text language sql immutable as
  $$ select case when octet_length(p) = length(p) or p is nfc normalized then p else normalize(p, nfc) end $$;
revoke all on function leadpipe.to_nfc(text) from public, anon, authenticated;
