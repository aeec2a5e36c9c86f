-- Returns the words of an area in lower case, with a space before and after each, so that a part of a word matches none.
create or replace function leadpipe.area_words(p_area text) returns text
language sql immutable set search_path = pg_catalog, pg_temp as
  $$ select ' ' || btrim(regexp_replace(lower(p_area), '[\s,;/|()+&._-]+', ' ', 'g')) || ' ' $$;
revoke all on function leadpipe.area_words(text) from public, anon, authenticated;

-- Ranks the agents of a pool for a lead, the best first: those who speak its language (or, next, have no languages),
-- those who know its area, then fewest open leads, longest without a new lead, and id. `why` says why an agent cannot
-- take it: its status, has_it, at_capacity, had_it, being_changed; null if it can. An agent who had a lead that is passed
-- on gets it again only if all available agents have had it. One without an agent goes to those last.
create or replace function leadpipe.rank_agents(
  p_pool jsonb, p_language text, p_area text, p_current uuid, p_had_by uuid[]) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  with agent as (
    select a, (a ->> 'id')::uuid as id, (a ->> 'open')::integer as open, (a ->> 'last')::timestamptz as last,
      (a ->> 'id')::uuid = any (p_had_by) as had,
      -- `ar` and `ar-ae` match: the first subtags are equal.
      case when p_language is null or coalesce(jsonb_array_length(nullif(a -> 'languages', 'null')), 0) = 0 then 1
        when exists (select from jsonb_array_elements_text(a -> 'languages') l where split_part(l, '-', 1) = split_part(p_language, '-', 1)) then 2
        else 0 end as speaks,
      case when p_area is null or coalesce(jsonb_array_length(nullif(a -> 'areas', 'null')), 0) = 0 then 1
        when exists (select from jsonb_array_elements_text(a -> 'areas') l
                     where strpos(leadpipe.area_words(p_area), leadpipe.area_words(l)) > 0) then 2
        else 0 end as knows
    from jsonb_array_elements(p_pool) as a
  ), judged as (
    select agent.*, case when a ->> 'status' <> 'available' then a ->> 'status' when id = p_current then 'has_it'
      when not leadpipe.has_room(a) then 'at_capacity'
      when p_current is not null and had and exists (
        select from agent o where o.a ->> 'status' = 'available' and not o.had and o.id <> p_current) then 'had_it'
      when not (a ->> 'isLocked')::boolean then 'being_changed' end as why
    from agent
  )
  select coalesce(jsonb_agg(jsonb_build_object('agentId', id, 'agentName', a -> 'name', 'status', a -> 'status', 'open', open,
      'capacity', a -> 'capacity', 'lastAssignedAt', leadpipe.iso8601(last), 'speaksLanguage', case speaks when 2 then true when 0 then false end,
      'knowsArea', case knows when 2 then true when 0 then false end, 'hadIt', had, 'why', why)
    order by why is null desc, case when p_current is null then had end, speaks desc, knows desc, open, last nulls first, id), '[]')
  from judged
$$;
revoke all on function leadpipe.rank_agents(jsonb, text, text, uuid, uuid[]) from public, anon, authenticated;

-- Returns what decided between the first two agents of a ranking: only_one, not_had, language, area, fewest_open or
-- longest_unserved.
create or replace function leadpipe.ranking_reason(p_ranking jsonb) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when p_ranking -> 1 is null or p_ranking #>> '{1,why}' is not null then 'only_one'
    when p_ranking #>> '{0,hadIt}' < p_ranking #>> '{1,hadIt}' then 'not_had'
    when p_ranking #> '{0,speaksLanguage}' <> p_ranking #> '{1,speaksLanguage}' then 'language'
    when p_ranking #> '{0,knowsArea}' <> p_ranking #> '{1,knowsArea}' then 'area'
    when p_ranking #> '{0,open}' <> p_ranking #> '{1,open}' then 'fewest_open'
    else 'longest_unserved' end
$$;
revoke all on function leadpipe.ranking_reason(jsonb) from public, anon, authenticated;
