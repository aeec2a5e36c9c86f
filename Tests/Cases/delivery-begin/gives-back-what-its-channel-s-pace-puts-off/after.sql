select id, status, lease_until is null as free, due_at - now() between interval '0.5 s' and interval '2 s' as is_soon from notification_logs order by id
