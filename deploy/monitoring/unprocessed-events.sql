-- Events that are not finished, and the age of the oldest. The checklist's query, with the age.
-- With a working worker, the number is small and the age a few seconds. Needs the owner's login (docs/how-to/monitor.md).
select count(*) as unprocessed, floor(extract(epoch from clock_timestamp() - min(created_at)))::bigint as oldest_seconds
from public.lead_events
where processed = false;
