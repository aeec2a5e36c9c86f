-- The checklist's clean-up, and the tables of ours that serve the same purpose. Stop the worker first. Conversations
-- and messages stay, and capture goes on storing them: the columns on conversations, the types and the functions stay
-- too. Capture and /health ask which tables there are; a call that needs one of these tables fails. `leadpipe migrate`
-- or `supabase db push` afterwards brings the event system back, empty.

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
    -- Only our migrations are to run again: the ledger may hold another project's, and 20251219000001 may be one of
    -- these.
    delete from supabase_migrations.schema_migrations where version in (
      '20261127000000', '20261127010000', '20261127020000', '20261127030000', '20261127040000',
      '20261127050000', '20261127060000', '20261127070000', '20261127080000', '20261127090000', '20261127100000',
      '20261127110000', '20261127120000', '20261127130000', '20261127140000');
  end if;
end
$$;
