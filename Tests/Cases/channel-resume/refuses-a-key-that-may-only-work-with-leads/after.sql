select paused_until is null from notification_channels
