select count(*) filter (where lease_until is not null), count(*), min(leased_by) from notification_logs
