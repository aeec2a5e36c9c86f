-- The state of the SLA sweep (docs/explanation/sla.md): one row, whose lock lets one sweep run at a time. Only functions
-- read it.
create table leadpipe.sla_sweep (
  is_only boolean constraint sla_sweep_pkey primary key default true constraint sla_sweep_is_only_check check (is_only),
  own_left double precision not null default 0,
  own_at timestamptz not null default '-infinity',
  warned integer not null default 0,
  breached integer not null default 0,
  oldest timestamptz,
  summed_at timestamptz not null default '-infinity'
);
revoke all on table leadpipe.sla_sweep from public, anon, authenticated, service_role;
comment on column leadpipe.sla_sweep.own_left is 'How many warnings and breaches could have a notification of their own at own_at.';
comment on column leadpipe.sla_sweep.warned is 'The warnings that the next summary reports.';
comment on column leadpipe.sla_sweep.breached is 'The breaches that the next summary reports.';
comment on column leadpipe.sla_sweep.oldest is 'The earliest deadline of these breaches.';
comment on column leadpipe.sla_sweep.summed_at is 'When the last summary was emitted.';
