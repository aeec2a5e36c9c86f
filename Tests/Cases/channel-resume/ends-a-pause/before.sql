insert into notification_channels (channel, paused_until, paused_since, pause_class, pause_reason) values ('slack', '2099-01-01 00:00:00Z', '2026-11-20 14:00:00Z', 'config', 'invalid_token');
