-- Merges of customers, and the state of retention.

-- One row, added when it is first needed. Whoever merges, erases or undoes a merge locks it before any other row, so that
-- they run one after another. Retention does not wait for it. It also keeps the state of retention.
create table leadpipe.person_lock (
  only_row boolean constraint person_lock_pkey primary key default true constraint person_lock_only_row check (only_row),
  called_at timestamptz,
  passed_at timestamptz,
  passed_to timestamptz,
  passed_id uuid,
  unreported integer not null default 0
);
revoke all on table leadpipe.person_lock from public, anon, authenticated, service_role;
comment on column leadpipe.person_lock.called_at is 'The latest call of erase_old_leads.';
comment on column leadpipe.person_lock.passed_at is 'When erase_old_leads last came to the end of the leads.';
comment on column leadpipe.person_lock.passed_to is 'created_at of the last lead that the present pass has read; null between two passes.';
comment on column leadpipe.person_lock.unreported is 'How many leads were erased since the latest entry in the audit log.';

create table leadpipe.customer_merges (
  id uuid constraint customer_merges_pkey primary key default leadpipe.uuid_v7(),
  created_at timestamptz not null default clock_timestamp(),
  actor text not null,
  kept uuid not null,
  merged uuid not null,
  undone_at timestamptz,
  erased_at timestamptz
);
create index customer_merges_created_at_idx on leadpipe.customer_merges (created_at);
create index customer_merges_merged_idx on leadpipe.customer_merges (merged);
revoke all on table leadpipe.customer_merges from public, anon, authenticated, service_role;
comment on table leadpipe.customer_merges is 'Merges of two customers, kept for 30 days, in which they can be undone.';
comment on column leadpipe.customer_merges.kept is 'The customer who has the rows of both.';
comment on column leadpipe.customer_merges.merged is 'The customer who had the other rows before.';
comment on column leadpipe.customer_merges.erased_at is 'When rows of the merge were erased, so that it cannot be undone any more.';

create table leadpipe.merged_rows (
  merge uuid not null
    constraint merged_rows_merge_fkey references leadpipe.customer_merges (id) on delete cascade,
  kind text not null constraint merged_rows_kind_check check (kind in ('conversation', 'phone', 'email')),
  value text not null,
  customer_id uuid,
  is_kept boolean not null default false,
  constraint merged_rows_pkey primary key (merge, kind, value)
);
revoke all on table leadpipe.merged_rows from public, anon, authenticated, service_role;
comment on table leadpipe.merged_rows is 'The conversations, phone numbers and email addresses that a merge moved to another customer.';
comment on column leadpipe.merged_rows.value is 'The id of the conversation, the phone number or the email address.';
comment on column leadpipe.merged_rows.customer_id is
  'The customer before the merge; null if the conversation had none, or if the phone number or email address belonged to none.';
comment on column leadpipe.merged_rows.is_kept is 'True if it was of the customer who was kept.';
