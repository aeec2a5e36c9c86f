-- An event of its own for the test message that an owner sends to a channel. In a file of its own: a value that was added to an enum
-- can be used after its transaction only.
alter type public.lead_event_type add value if not exists 'channel.test';
