-- Adds an entry to the audit log. Call it in the transaction of what it records. Details must contain no data of
-- customers.
create or replace function leadpipe.record_audit(p_actor text, p_action text, p_subject text, p_details jsonb default '{}') returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into leadpipe.audit_log (actor, action, subject, details) values (coalesce(p_actor, 'operator'), p_action, p_subject, p_details)
$$;
revoke all on function leadpipe.record_audit(text, text, text, jsonb) from public, anon, authenticated;
