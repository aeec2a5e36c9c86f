-- Returns the fields of a lead, from the argument of capture_lead, in the form in which they are stored.
-- Has no SET clause, so that the planner can inline it.
create or replace function leadpipe.lead_fields(p jsonb)
returns table (
  name text, phone text, email text, intent text, budget text, property_type text, preferred_area text, notes text, tags text[],
  score integer, quality text, breakdown jsonb, metadata jsonb, device_info jsonb, start_time timestamptz, end_time timestamptz,
  duration integer, deadline timestamptz, budget_amount double precision, budget_min double precision, budget_max double precision,
  budget_currency text, budget_period text)
language sql stable as $$
  select
    nullif(leadpipe.to_nfc("customerName"), ''), nullif(leadpipe.to_nfc("customerPhone"), ''), nullif(leadpipe.to_nfc("customerEmail"), ''),
    nullif(leadpipe.to_nfc(sent.intent), ''), nullif(leadpipe.to_nfc(sent.budget), ''), nullif(leadpipe.to_nfc("propertyType"), ''),
    nullif(leadpipe.to_nfc("preferredArea"), ''), nullif(leadpipe.to_nfc(sent.notes), ''),
    case when sent.tags is null or sent.tags = '{}' then '{}' else
      (select coalesce(array_agg(tag order by first), '{}')
       from (select leadpipe.to_nfc(t) as tag, min(n) as first
             from unnest(sent.tags) with ordinality as each (t, n) where t is not null group by 1) unique_tags) end,
    "leadScore", "leadQuality", "leadScoreBreakdown", sent.metadata, "deviceInfo", "startTime", "endTime", "durationMinutes",
    "slaDeadline", "budgetAmount", "budgetMin", "budgetMax", "budgetCurrency", "budgetPeriod"
  from jsonb_to_record(p) as sent (
    "customerName" text, "customerPhone" text, "customerEmail" text, intent text, budget text, "propertyType" text,
    "preferredArea" text, "leadScore" integer, "leadQuality" text, "leadScoreBreakdown" jsonb, tags text[], notes text,
    metadata jsonb, "deviceInfo" jsonb, "startTime" timestamptz, "endTime" timestamptz, "durationMinutes" integer,
    "slaDeadline" timestamptz, "budgetAmount" double precision, "budgetMin" double precision, "budgetMax" double precision,
    "budgetCurrency" text, "budgetPeriod" text)
$$;
revoke all on function leadpipe.lead_fields(jsonb) from public, anon, authenticated;
