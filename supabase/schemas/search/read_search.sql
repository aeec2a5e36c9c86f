-- Returns the filters and the current time of a search, from its request. Raises LP400 if dateTo is not after dateFrom.
create or replace function leadpipe.read_search(p jsonb) returns leadpipe.conversation_search
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_zone text := coalesce(p ->> 'timeZone', 'Asia/Dubai');
  f leadpipe.conversation_search;
begin
  f.statuses := leadpipe.text_array(p -> 'status');
  f.qualities := leadpipe.text_array(p -> 'leadQuality');
  f.intents := leadpipe.text_array(p -> 'intent');
  f.areas := leadpipe.text_array(p -> 'areas');
  f.agents := leadpipe.text_array(p -> 'assignedAgentIds')::uuid[];
  f.tags := leadpipe.text_array(p -> 'tags');
  f.sources := leadpipe.text_array(p -> 'source');
  f.follow_ups := leadpipe.text_array(p -> 'followUpStatus');
  f.sla_states := leadpipe.text_array(p -> 'slaState');
  f.least_score := (p #>> '{scoreRange,min}')::integer;
  f.most_score := (p #>> '{scoreRange,max}')::integer;
  f.since := leadpipe.parse_moment(p ->> 'dateFrom', v_zone, false);
  f.until := leadpipe.parse_moment(p ->> 'dateTo', v_zone, true);
  if f.since >= f.until then
    raise exception using errcode = 'LP400', message = 'not_after', detail = '{"field": "dateTo", "other": "dateFrom"}';
  end if;
  f.now := now();
  f.today := date_trunc('day', f.now at time zone v_zone) at time zone v_zone;
  f.tomorrow := (date_trunc('day', f.now at time zone v_zone) + interval '1 day') at time zone v_zone;
  f.warn_hot := (p #>> '{warnBefore,hot}')::timestamptz;
  f.warn_warm := (p #>> '{warnBefore,warm}')::timestamptz;
  f.warn_cold := (p #>> '{warnBefore,cold}')::timestamptz;
  return f;
end
$$;
revoke all on function leadpipe.read_search(jsonb) from public, anon, authenticated;
