-- True for a lead that `leadpipe check` has submitted. The event of its creation must say so too: nobody can turn
-- another lead into a test lead afterwards, which the next check would remove. A visitor can send the same name and
-- mark, so phone number and email address must be of the kinds that the check makes up, which belong to nobody: a lead
-- that could be answered is never a test lead.
create or replace function leadpipe.is_test_lead(p_id uuid, p_name text, p_metadata jsonb) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  if p_name is distinct from '[test] Leadpipe check' or not coalesce(p_metadata ? 'leadpipeCheck', false) then
    return false;
  end if;
  if not exists (select from public.conversations c where c.id = p_id
    and c.customer_phone ~ '^\+97151[0-9]{7}$' and c.customer_email ~ '^check-[0-9A-Za-z_-]{12}@example\.com$') then
    return false;
  end if;
  if to_regclass('public.lead_events') is null then
    return true;
  end if;
  return exists (select from public.lead_events e where e.conversation_id = p_id and e.event_type = 'lead.created'
    and e.payload ->> 'customerName' = p_name);
end
$$;
revoke all on function leadpipe.is_test_lead(uuid, text, jsonb) from public, anon, authenticated;
