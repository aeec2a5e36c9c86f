select string_agg(channel || ':' || recipient || ':' || status, ',' order by channel, recipient) from notification_logs
