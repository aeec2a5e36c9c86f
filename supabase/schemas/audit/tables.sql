-- The audit log: who managed keys, agents, channels and personal data, and when. Changes of single leads are in their
-- timelines. The table is in schema leadpipe, because other programs may have one of this name in public.

create table leadpipe.audit_log (
  id uuid constraint audit_log_pkey primary key default leadpipe.uuid_v7(),
  created_at timestamptz not null default clock_timestamp(),
  actor text not null,
  action text not null,
  subject text,
  details jsonb not null default '{}'
);
create index audit_log_created_at_idx on leadpipe.audit_log (created_at, id);
create or replace trigger audit_log_append_only before update or delete or truncate on leadpipe.audit_log
  for each statement execute function leadpipe.refuse_change();
revoke all on table leadpipe.audit_log from public, anon, authenticated, service_role;
comment on table leadpipe.audit_log is
  'Who managed keys, agents, channels and personal data. Append-only: rows cannot be changed or deleted. Contains no data of customers.';
comment on column leadpipe.audit_log.actor is 'The name of the key, or of the user who ran a command.';
comment on column leadpipe.audit_log.subject is 'What it was done to: the name of a key or channel, the id of an agent, event or subscriber; null for a person.';
