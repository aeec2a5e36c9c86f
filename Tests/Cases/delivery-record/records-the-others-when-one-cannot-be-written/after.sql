select string_agg(recipient || ':' || status, ',' order by recipient) from notification_logs
