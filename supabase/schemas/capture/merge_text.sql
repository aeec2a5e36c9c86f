-- Returns the value to keep. A missing value never clears a stored one. A proven request, which has the customer's
-- phone number or email address, replaces a stored value; any other request only fills an empty one.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.merge_text(p_stored text, p_sent text, p_proven boolean) returns text language sql immutable as
  $$ select case when p_proven then coalesce(nullif(p_sent, ''), p_stored) else coalesce(nullif(p_stored, ''), p_sent) end $$;
revoke all on function leadpipe.merge_text(text, text, boolean) from public, anon, authenticated;
