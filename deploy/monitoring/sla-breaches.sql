-- Leads whose first response came too late or is overdue, newest first. The checklist's query, without personal data and
-- with a limit.
select id, status, lead_quality, assigned_agent_id, sla_response_deadline, first_response_at, created_at
from public.conversations
where sla_breached = true
order by created_at desc
limit 100;
