select count(*) from newsletter_subscribers
