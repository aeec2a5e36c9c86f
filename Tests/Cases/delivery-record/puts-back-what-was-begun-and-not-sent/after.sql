select n.status, n.retry_count, n.outcome_class is null, n.error_message is null, n.lease_until is null, n.due_at <= now(), e.processed from notification_logs n join lead_events e on e.id = n.lead_event_id;
select class, finished_at is not null from notification_attempts;
select fail_streak, paused_until > now() from notification_channels;
select count(*) from lead_events where event_type::text like 'notification.%'
