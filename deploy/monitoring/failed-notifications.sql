-- The ten newest notifications whose last attempt failed. The checklist's query, without the notification's text and the
-- recipient. One without next_attempt_at was given up; the others are tried again.
select id, channel, conversation_id, retry_count, next_attempt_at, outcome_class, error_message, created_at
from public.notification_logs
where status = 'failed'
order by created_at desc
limit 10;
