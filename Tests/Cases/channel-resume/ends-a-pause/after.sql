select paused_until is null, fail_streak from notification_channels
