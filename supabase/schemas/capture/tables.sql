-- Tables that make capture idempotent: the customers of phone numbers and email addresses, and the requests that were
-- answered.

create table public.customer_identities (
  kind text not null constraint customer_identities_kind_check check (kind in ('phone', 'email')),
  value text not null,
  customer_id uuid not null,
  constraint customer_identities_pkey primary key (kind, value)
);
create index customer_identities_customer_id_idx on public.customer_identities (customer_id);
select leadpipe.protect_table('public.customer_identities');
comment on table public.customer_identities is
  'The customer of each phone number (E.164) and email address (lower case). A phone number takes precedence over an email address.';

-- conversation_id has no foreign key: the key is stored before its conversation exists, and a key whose conversation
-- was deleted counts as unused.
create table public.idempotency_keys (
  route text not null,
  key text not null,
  body_sha256 bytea not null,
  conversation_id uuid,
  created_at timestamptz not null default now(),
  constraint idempotency_keys_pkey primary key (route, key)
) with (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index idempotency_keys_created_at_idx on public.idempotency_keys (created_at);
create index idempotency_keys_repeat_idx on public.idempotency_keys (created_at) where starts_with(key, 'repeat ');
select leadpipe.protect_table('public.idempotency_keys');
comment on table public.idempotency_keys is
  'Requests that were answered. A repeat with the same body gets the same reply; a different body is rejected. Valid for 7 days, and for 30 seconds if the key was made from the content.';
comment on column public.idempotency_keys.body_sha256 is 'SHA-256 of the body as jsonb text, without the key.';
