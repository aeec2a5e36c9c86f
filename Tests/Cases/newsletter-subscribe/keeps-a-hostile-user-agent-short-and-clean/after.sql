select length(user_agent), left(user_agent, 6) from newsletter_subscribers
