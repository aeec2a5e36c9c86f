-- Returns the timeline entries about what somebody has sent about a person to a conversation of another customer. Reads
-- the whole timeline.
create or replace function leadpipe.mentions_of_person(p_phones text[], p_emails text[]) returns uuid[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- The clean-up drops this table.
  if to_regclass('public.conversation_timeline') is null then
    return '{}';
  end if;
  return array(
    select t.id from public.conversation_timeline t
    where t.metadata ? 'notStored' and (t.metadata #>> '{notStored,customerPhone}' = any (p_phones)
      or lower(t.metadata #>> '{notStored,customerEmail}') = any (p_emails)));
end
$$;
revoke all on function leadpipe.mentions_of_person(text[], text[]) from public, anon, authenticated;
