-- Receipts: an optional mail to a visitor whose lead has been stored (docs/how-to/send-receipts.md). Only functions read
-- these tables.

-- The state of the sweep: one row, whose lock lets one call work at a time, so that the limits are exact.
create table leadpipe.receipt_sweep (
  is_only boolean constraint receipt_sweep_pkey primary key default true
    constraint receipt_sweep_is_only_check check (is_only),
  seen pg_snapshot,
  tokens double precision not null default 0,
  tokens_at timestamptz not null default '-infinity'
);
revoke all on table leadpipe.receipt_sweep from public, anon, authenticated, service_role;
comment on column leadpipe.receipt_sweep.seen is 'The events that were visible in this snapshot have been read.';
comment on column leadpipe.receipt_sweep.tokens is 'How many receipts could be planned at tokens_at.';

-- Leads that may get a receipt. One that another session has locked waits here.
create table leadpipe.receipt_queue (
  conversation_id uuid constraint receipt_queue_pkey primary key,
  queued_at timestamptz not null
);
revoke all on table leadpipe.receipt_queue from public, anon, authenticated, service_role;

-- The leads for which has been decided whether they get a receipt. There is no foreign key: a deleted lead must not make
-- room for another receipt to its address.
create table leadpipe.receipts (
  conversation_id uuid constraint receipts_pkey primary key,
  address bytea not null,
  decided_at timestamptz not null,
  reason text,
  bounced_at timestamptz
);
revoke all on table leadpipe.receipts from public, anon, authenticated, service_role;
create index receipts_address_idx on leadpipe.receipts (address, decided_at);
create index receipts_decided_at_idx on leadpipe.receipts (decided_at);
comment on column leadpipe.receipts.address is 'The SHA-256 of the normalised address.';
comment on column leadpipe.receipts.reason is 'Why there is no receipt; null if one was planned.';
comment on column leadpipe.receipts.bounced_at is 'When the receipt was refused for good.';
