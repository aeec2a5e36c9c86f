-- Returns why an address gets no receipt now; null if it may get one. `p_address` is its SHA-256, as in receipts. Receipts
-- that were refused do not count.
create or replace function leadpipe.refuse_receipt(p_address bytea, p_now timestamptz) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  -- A clock that ran ahead must not close an address for longer than the limits say.
  update leadpipe.receipts r set decided_at = p_now where r.address = p_address and r.decided_at > p_now;
  return case
    when exists (select from leadpipe.receipts r where r.address = p_address and r.bounced_at is not null) then
      'an earlier receipt to this address was refused for good'
    when exists (select from leadpipe.receipts r
                 where r.address = p_address and r.reason is null and r.decided_at > p_now - interval '24 hours') then
      'this address has had a receipt in the last 24 hours'
    when (select count(*) from leadpipe.receipts r
          where r.address = p_address and r.reason is null and r.decided_at > p_now - interval '30 days') >= 5 then
      'this address has had five receipts in the last 30 days' end;
end
$$;
revoke all on function leadpipe.refuse_receipt(bytea, timestamptz) from public, anon, authenticated;
