-- Returns the largest amount in a budget, in dirhams. Null if it contains none. Sources/Leads/Budget.swift defines the
-- rule; a test compares the two implementations.
create or replace function leadpipe.budget_amount(p text) returns double precision
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  -- The code point of the digit zero in each script whose ten digits are consecutive.
  c_scripts constant integer[] :=
    '{1632,1776,1984,2406,2534,2662,2790,2918,3046,3174,3302,3430,3558,3664,3792,3872,4160,4240,6112,6160,6470,65296}';
  v_rest text := lower(p);
  v_most double precision;
  v_token text[];
  v_behind text[];
  v_factor double precision;
  v_marks text;
  v_last text;
  v_digits text;
  v_decimals integer;
  v_value double precision;
begin
  if octet_length(p) > length(p) then
    v_rest := translate(v_rest,
      (select string_agg(chr(zero + digit), '' order by zero, digit) from unnest(c_scripts) as zero, generate_series(0, 9) as digit),
      repeat('0123456789', cardinality(c_scripts)));
  end if;
  loop
    v_token := regexp_match(v_rest, '((?:(?<!\S)\.(?=[0-9])|[0-9])[0-9,.''٫٬]*)(.*)$');
    exit when v_token is null;
    v_rest := v_token[2];

    v_behind := regexp_match(v_rest, '^([ \u00a0]*)([[:alpha:]]*)(.?) *([[:alpha:]]*)');
    v_factor := case
      when v_behind[2] = 'm' and (v_behind[3] ~ '[0-9²]' or v_behind[1] <> '' and v_behind[3] in ('', ' ')
        and v_behind[4] in ('from', 'away', 'walk', 'sq', 'square')) then null
      when v_behind[2] in ('k', 'thousand', 'thousands', 'ألف', 'الف', 'آلاف') then 1e3
      when v_behind[2] in ('lakh', 'lakhs', 'lac') then 1e5
      when v_behind[2] in ('m', 'mn', 'mil', 'mln', 'mio', 'million', 'millions', 'مليون', 'ملايين') then 1e6
      when v_behind[2] in ('cr', 'crore', 'crores') then 1e7
      when v_behind[2] in ('b', 'bn', 'billion', 'مليار') then 1e9 end;

    v_token[1] := regexp_replace(v_token[1], '[,.''٫٬]+$', '');
    v_digits := regexp_replace(v_token[1], '[^0-9]', '', 'g');
    v_marks := regexp_replace(v_token[1], '[0-9]', '', 'g');
    v_last := right(v_marks, 1);
    v_decimals := length(substring(v_token[1] from '[0-9]*$'));
    if v_marks = '' or (length(v_marks) = 1 and v_decimals = 3 and not (v_last in ('.', '٫') and v_factor is not null))
      or position(v_last in left(v_marks, -1)) > 0 then
      v_decimals := 0;
    end if;
    -- A number that is too large for a double is ignored.
    if length(v_digits) <= 290 and (v_factor is not null or v_rest !~ '^[[:alpha:]]') then
      v_value := (left(v_digits, length(v_digits) - v_decimals) || '.' || right(v_digits, v_decimals))::double precision;
      v_most := greatest(v_most, v_value * coalesce(v_factor, 1));
    end if;
  end loop;
  return v_most;
end
$$;
revoke all on function leadpipe.budget_amount(text) from public, anon, authenticated;
