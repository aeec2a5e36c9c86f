-- Generated from schemas/ by `make migration`, except for the locks. This file can run again at any time. Captures wait
-- while the index is built.

-- Takes the lock or none: whoever waits for it makes all captures wait.
do $$
begin
  perform set_config('lock_timeout', '200ms', true);
  for attempt in 1 .. 200 loop
    begin
      lock table public.conversations in access exclusive mode;
      exit;
    exception when lock_not_available then
      if attempt = 200 then
        raise;
      end if;
      perform pg_sleep(0.1);
    end;
  end loop;
  perform set_config('lock_timeout', '0', true);
end
$$;

drop index if exists public.conversations_closed_idx;

CREATE INDEX IF NOT EXISTS conversations_closed_idx ON public.conversations USING btree (created_at, id) WHERE (((erased_at IS NULL) OR (customer_id IS NOT NULL)) AND (status = ANY (ARRAY['completed'::text, 'lost'::text, 'converted'::text, 'spam'::text])));
