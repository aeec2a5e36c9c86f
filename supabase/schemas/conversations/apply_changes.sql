-- Updates a locked conversation. Returns true if anything changed. `p_change` can contain `status`, `leadScore`,
-- `leadQuality`, `tags`, `addTags`, `removeTags`, `notes` (appended if `notesMode` is append), `outcome` and `conversionValue`. `clear` lists
-- the fields to set to null.
create or replace function leadpipe.apply_changes(c public.conversations, p_change jsonb, p_by text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  n public.conversations := c;  -- the new state
  v_clear text[] := array(select jsonb_array_elements_text(p_change -> 'clear'));
  v_note text := leadpipe.to_nfc(p_change ->> 'notes');
  v_ranks constant text[] := '{cold,warm,hot}';
  v_closed constant text[] := '{completed,lost,converted}';
  v_hides boolean;  -- the lead is moved to spam
  v_returns boolean;  -- an open status brings it back
  v_removed text[];
  v_event text;
  v_worth text;  -- describes the changes of outcome and value
begin
  n.status := coalesce(p_change ->> 'status', c.status);
  n.lead_score := coalesce((p_change ->> 'leadScore')::integer, c.lead_score);
  n.lead_quality := coalesce(p_change ->> 'leadQuality', c.lead_quality);
  if p_change ? 'tags' then
    n.tags := array(select tag from (
      select leadpipe.to_nfc(t) as tag, min(i) as first from jsonb_array_elements_text(p_change -> 'tags') with ordinality as sent (t, i)
      group by 1) tags order by first);
  end if;
  if p_change ?| array['addTags', 'removeTags'] then
    v_removed := array(select leadpipe.to_nfc(t) from jsonb_array_elements_text(p_change -> 'removeTags') as sent (t));
    n.tags := array(select t from unnest(n.tags) with ordinality as kept (t, i) where t <> all (v_removed) order by i)
      || array(select tag from (
        select leadpipe.to_nfc(t) as tag, min(i) as first
        from jsonb_array_elements_text(p_change -> 'addTags') with ordinality as sent (t, i) group by 1) added
      where tag <> all (n.tags) and tag <> all (v_removed) order by first);
    if cardinality(n.tags) > greatest(100, cardinality(c.tags)) then
      raise exception using errcode = 'LP400', message = 'invalid_list', detail = '{"field": "tags", "count": "at most 100", "items": "tags"}';
    end if;
  end if;
  n.notes := case
    when 'notes' = any (v_clear) then null
    when v_note is null then c.notes
    when p_change ->> 'notesMode' = 'append' then concat_ws(E'\n', nullif(c.notes, ''), v_note)
    else v_note end;
  if length(n.notes) > 20000 then
    raise exception using errcode = 'LP400', message = 'notes_too_long', detail = '{"field": "notes", "max": 20000}';
  end if;
  n.outcome := case when 'outcome' = any (v_clear) then null else coalesce(leadpipe.to_nfc(p_change ->> 'outcome'), c.outcome) end;
  n.conversion_value := case when 'conversionValue' = any (v_clear) then null
    else coalesce((p_change ->> 'conversionValue')::numeric, c.conversion_value) end;
  if n.lead_score <> c.lead_score then
    n.lead_score_breakdown := jsonb_build_object('source', 'agent', 'by', p_by, 'before',
      coalesce(c.lead_score_breakdown -> 'before', c.lead_score_breakdown));
  end if;
  -- Closed without a first response, after its deadline.
  n.sla_breached := c.sla_breached
    or (n.status = any (v_closed) and c.first_response_at is null and coalesce(c.sla_response_deadline <= now(), false));
  v_hides := n.status = 'spam' and c.status <> 'spam';
  v_returns := c.status = 'spam' and c.erased_at is null and n.status in ('new', 'in-progress');
  if v_hides then
    -- Nobody owes a robot an answer.
    n.sla_response_deadline := null;
    n.sla_breached := false;
  elsif v_returns and c.first_response_at is null then
    -- The sender waits from now on. Callers without office hours send no deadlines.
    n.sla_response_deadline := coalesce((p_change #>> array['slaDeadlines', n.lead_quality])::timestamptz,
      clock_timestamp() + case n.lead_quality when 'hot' then interval '15 minutes' when 'warm' then interval '1 hour' else interval '24 hours' end);
  end if;
  if n is not distinct from c then
    return false;
  end if;

  v_worth := nullif(concat_ws('; ',
    case when n.outcome is distinct from c.outcome then coalesce(n.outcome, 'outcome removed') end,
    case when n.conversion_value is distinct from c.conversion_value then
      coalesce('value ' || trim_scale(n.conversion_value), 'value removed') || coalesce(' (was ' || trim_scale(c.conversion_value) || ')', '')
    end), '');

  update public.conversations s set
    status = n.status, lead_score = n.lead_score, lead_quality = n.lead_quality, lead_score_breakdown = n.lead_score_breakdown,
    tags = n.tags, notes = n.notes, outcome = n.outcome, conversion_value = n.conversion_value, sla_breached = n.sla_breached,
    sla_response_deadline = n.sla_response_deadline
  where s.id = c.id;

  if n.status = any (v_closed) and c.status <> all (v_closed) and to_regclass('public.follow_up_tasks') is not null then
    perform leadpipe.cancel_reminders(c.id, f.id, 'cancelled: the lead was closed')
    from public.follow_up_tasks f where f.conversation_id = c.id and f.status in ('scheduled', 'in_progress', 'overdue');
  elsif n.status <> all (v_closed) and c.status = any (v_closed) then
    perform leadpipe.reopen_follow_ups(c.id);
    if n.sla_breached and c.first_response_at is null then
      -- It became overdue without a sweep, when it was closed.
      perform leadpipe.end_turns(array[c.id]);
    end if;
  end if;
  if v_hides then
    if c.status <> all (v_closed) and to_regclass('public.follow_up_tasks') is not null then
      perform leadpipe.cancel_reminders(c.id, f.id, 'cancelled: the lead was marked as spam')
      from public.follow_up_tasks f where f.conversation_id = c.id and f.status in ('scheduled', 'in_progress', 'overdue');
    end if;
    perform leadpipe.silence_spam(c.id);
  elsif v_returns then
    perform leadpipe.reopen_follow_ups(c.id);
    -- Who takes it up needs no notification, and who has been answered neither.
    if n.status = 'new' and c.first_response_at is null then
      perform leadpipe.release_spam(c.id);
    end if;
  end if;
  if n.status <> c.status then
    v_event := case n.status when 'converted' then 'lead.converted' when 'lost' then 'lead.lost' else 'lead.updated' end;
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case n.status when 'converted' then 'Lead converted' when 'lost' then 'Lead lost'
        when 'spam' then 'Marked as spam'
        else format('Status changed from %s to %s', c.status, n.status) end,
      -- Describes this change only, not an earlier outcome.
      v_worth, v_event, jsonb_build_object('from', c.status, 'to', n.status)
        || jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value)));
  end if;
  if n.lead_quality <> c.lead_quality or n.lead_score <> c.lead_score then
    perform leadpipe.record_activity(c.id, p_by, 'status_changed',
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'Lead qualified as ' || n.lead_quality
        when n.lead_quality <> c.lead_quality then 'Lead quality lowered to ' || n.lead_quality
        else 'Lead score changed' end,
      format('Score %s (%s), was %s (%s)', n.lead_score, n.lead_quality, c.lead_score, c.lead_quality),
      case when array_position(v_ranks, n.lead_quality) > array_position(v_ranks, c.lead_quality) then 'lead.qualified' else 'lead.updated' end,
      jsonb_build_object('score', n.lead_score, 'quality', n.lead_quality, 'scoreBefore', c.lead_score, 'qualityBefore', c.lead_quality));
    v_event := 'lead.updated';
  end if;
  if n.notes is distinct from c.notes then
    perform leadpipe.record_activity(c.id, p_by, 'note_added',
      case when n.notes is null then 'Notes removed' when p_change ->> 'notesMode' = 'append' then 'Note added' else 'Notes changed' end, v_note);
  end if;
  if n.tags <> c.tags then
    perform leadpipe.record_activity(c.id, p_by, 'note_added', 'Tags changed', concat_ws('; ',
      'added: ' || nullif(array_to_string(array(select t from unnest(n.tags) t where t <> all (c.tags)), ', '), ''),
      'removed: ' || nullif(array_to_string(array(select t from unnest(c.tags) t where t <> all (n.tags)), ', '), '')));
  end if;
  if (n.outcome, n.conversion_value) is distinct from (c.outcome, c.conversion_value) and n.status = c.status then
    perform leadpipe.record_activity(c.id, p_by, 'note_added',
      case when num_nonnulls(n.outcome, n.conversion_value) = 0 then 'Outcome removed'
        when n.outcome is distinct from c.outcome then 'Outcome recorded' else 'Value changed' end,
      v_worth, null, jsonb_strip_nulls(jsonb_build_object('conversionValue', n.conversion_value, 'conversionValueBefore', c.conversion_value)));
  end if;
  -- Every change emits an event for the listeners of the live feed.
  if v_event is null then
    perform public.emit_lead_event('lead.updated', c.id, jsonb_build_object('by', p_by));
  end if;
  return true;
end
$$;
revoke all on function leadpipe.apply_changes(public.conversations, jsonb, text) from public, anon, authenticated;
