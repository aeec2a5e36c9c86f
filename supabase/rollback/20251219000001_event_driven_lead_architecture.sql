-- The checklist's clean-up, extended to Leadpipe's own tables for events and notifications. Stop the worker first.
-- Conversations and messages are kept, and capture continues to store them. The columns on conversations, the types and
-- the functions are kept too. Capture and /health check which tables exist; any other call that needs one of the
-- dropped tables fails. Afterwards, `leadpipe migrate` or `supabase db push` creates the event system again, empty.

drop table if exists public.notification_logs;
drop table if exists public.follow_up_tasks;
drop table if exists public.conversation_timeline;
drop table if exists public.lead_events;
drop table if exists public.notification_attempts;
drop table if exists public.notification_channels;
drop table if exists public.workers;

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    -- Only Leadpipe's migrations must run again. The ledger can also contain those of another project, and
    -- 20251219000001 can be one of them.
    delete from supabase_migrations.schema_migrations where version in (
      '20261127000000', '20261127010000', '20261127020000', '20261127030000', '20261127040000', '20261127050000',
      '20261127060000', '20261127070000', '20261127080000', '20261127090000', '20261127100000', '20261127110000',
      '20261127120000', '20261127130000', '20261127140000',
      '20261128075832',
      '20261128112002',
      '20261128132122',
      '20261128163546',
      '20261128175243',
      '20261128175447',
      '20261128181803',
      '20261128181804',
      '20261128183234',
      '20261128205439',
      '20261128220210',
      '20261128220400',
      '20261128221206',
      '20261128222655',
      '20261128223539',
      '20261128223540',
      '20261129003806',
      '20261129032417',
      '20261129032701',
      '20261129032702',
      '20261129033222',
      '20261129065427',
      '20261129065428',
      '20261129084633');
  end if;
end
$$;
