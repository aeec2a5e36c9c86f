select count(*) filter (where lease_until is not null), count(*) from notification_logs
