-- The value to keep. An absent value never clears a stored one. A request that has proved to know the customer replaces
-- it; any other only fills an empty one.
-- It has no SET clause, so that the planner can inline it.
create or replace function leadpipe.merge_text(p_stored text, p_sent text, p_proven boolean) returns text language sql immutable as
  $$ select case when p_proven then coalesce(nullif(p_sent, ''), p_stored) else coalesce(nullif(p_stored, ''), p_sent) end $$;
revoke all on function leadpipe.merge_text(text, text, boolean) from public, anon, authenticated;
