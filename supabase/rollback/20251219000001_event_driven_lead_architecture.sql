-- The checklist's clean-up. Conversations and messages stay, and capture goes on storing them: the columns on conversations
-- and the functions that capture and /health call stay too, and ask which tables are there. Stop the worker first.
-- `leadpipe migrate` or `supabase db push` afterwards brings the event system back, empty.

drop table if exists public.notification_logs;
drop table if exists public.follow_up_tasks;
drop table if exists public.conversation_timeline;
drop table if exists public.lead_events;
drop table if exists public.notification_attempts;
drop table if exists public.notification_channels;
drop table if exists public.workers;

-- Nothing is left for these to do. The types stay: functions that capture calls name them.
drop function if exists public.claim_deliveries(jsonb);
drop function if exists public.begin_deliveries(jsonb);
drop function if exists public.record_outcomes(jsonb);
drop function if exists public.settle_events(uuid[]);
drop function if exists public.rehome_deliveries(jsonb);
drop function if exists public.release_deliveries(jsonb);
drop function if exists public.list_deliveries(jsonb);
drop function if exists public.show_delivery(jsonb);
drop function if exists public.retry_deliveries(jsonb);
drop function if exists public.replay_events(jsonb);
drop function if exists public.list_channels(jsonb);
drop function if exists public.resume_channel(jsonb);
drop function if exists public.delivery_document(jsonb);
drop function if exists public.live_events(jsonb);
drop function if exists public.live_event(text, uuid, jsonb, jsonb);
drop function if exists public.live_snapshot(text);
drop function if exists public.prune(jsonb);
drop function if exists public.note_fingerprints(jsonb);
drop function if exists public.open_channel(public.notification_channel);
drop function if exists public.may_repeat(uuid, uuid, public.notification_channel, text);
drop function if exists public.paused_total(public.notification_channel, timestamptz);
drop function if exists public.update_overdue_follow_ups();
drop function if exists public.create_follow_up(jsonb);
drop function if exists public.update_follow_up(jsonb);
drop function if exists public.list_follow_ups(jsonb);
drop function if exists public.note_next_follow_up(uuid);
drop function if exists public.admin_list_channels(jsonb);
drop function if exists public.admin_list_deliveries(jsonb);
drop function if exists public.admin_list_events(jsonb);
drop function if exists public.admin_replay_event(jsonb);
drop function if exists public.admin_resume_channel(jsonb);
drop function if exists public.admin_retry_delivery(jsonb);
drop function if exists public.deliveries_page(jsonb);
drop function if exists public.event_document(jsonb);
drop function if exists public.events_page(jsonb);
drop function if exists public.explain_conversation(jsonb);
drop function if exists public.list_conversation_deliveries(jsonb);
drop function if exists public.list_conversation_events(jsonb);
drop function if exists public.list_timeline(jsonb);
drop function if exists public.test_channel(jsonb);

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version >= '20251219000001';
  end if;
end
$$;
