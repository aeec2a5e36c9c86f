-- Returns the sort order of a list. It has one or two segments; the second has the rows that come last, such as those
-- without a value to sort by (no follow-up, no amount). For each segment: the rows that belong to it, their order, and
-- the rows that follow a cursor. `key` is the value that a cursor needs in addition to time and id. All are SQL on a
-- row `t`, with the search as $1.
create or replace function leadpipe.search_order(p_sort text, out key text, out rows text[], out orders text[], out afters text[])
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  c_down constant text := 't.created_at desc, t.id desc';
  c_up constant text := 't.created_at, t.id';
  c_after_down constant text := '(t.created_at, t.id) < (($1).after_created, ($1).after_id)';
  c_after_up constant text := '(t.created_at, t.id) > (($1).after_created, ($1).after_id)';
  c_due constant text := 't.first_response_at is null and t.status not in (''completed'', ''lost'', ''converted'') '
    'and t.sla_response_deadline is not null';
begin
  key := 'null';
  rows := '{true}';
  case p_sort
    when 'recent' then
      orders := array[c_down]; afters := array[c_after_down];
    when 'oldest' then
      orders := array[c_up]; afters := array[c_after_up];
    when 'hot' then
      key := 't.lead_score'; orders := array['t.lead_score desc, ' || c_down];
      afters := array['(t.lead_score, t.created_at, t.id) < (($1).after_score, ($1).after_created, ($1).after_id)'];
    when 'warm' then
      key := 't.lead_score'; rows := '{t.lead_score < 80,t.lead_score >= 80}';
      orders := array_fill('t.lead_score desc, ' || c_down, '{2}');
      afters := array_fill('(t.lead_score, t.created_at, t.id) < (($1).after_score, ($1).after_created, ($1).after_id)'::text, '{2}');
    when 'cold' then
      key := 't.lead_score'; orders := array['t.lead_score, ' || c_up];
      afters := array['(t.lead_score, t.created_at, t.id) > (($1).after_score, ($1).after_created, ($1).after_id)'];
    when 'highest-budget' then
      key := 't.amount'; rows := '{t.amount is not null,t.amount is null}';
      orders := array['t.amount desc, ' || c_down, c_down];
      afters := array['(t.amount, t.created_at, t.id) < (($1).after_amount, ($1).after_created, ($1).after_id)', c_after_down];
    when 'lowest-budget' then
      key := 't.amount'; rows := '{t.amount is not null,t.amount is null}';
      orders := array['t.amount, ' || c_up, c_down];
      afters := array['(t.amount, t.created_at, t.id) > (($1).after_amount, ($1).after_created, ($1).after_id)', c_after_down];
    when 'follow-up' then
      key := 't.follow_up_date'; rows := '{t.follow_up_date is not null,t.follow_up_date is null}';
      orders := array['t.follow_up_date, ' || c_up, c_down];
      afters := array['(t.follow_up_date, t.created_at, t.id) > (($1).after_time, ($1).after_created, ($1).after_id)', c_after_down];
    when 'sla' then
      key := 't.sla_response_deadline'; rows := array[c_due, 'not (' || c_due || ')'];
      orders := array['t.sla_response_deadline, ' || c_up, c_down];
      afters := array['(t.sla_response_deadline, t.created_at, t.id) > (($1).after_time, ($1).after_created, ($1).after_id)', c_after_down];
  end case;
end
$$;
revoke all on function leadpipe.search_order(text) from public, anon, authenticated;
