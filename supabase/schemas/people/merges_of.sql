-- Returns the merges that brought one of the phone numbers or email addresses to another customer and can be undone,
-- latest first.
create or replace function leadpipe.merges_of(p_phones text[], p_emails text[]) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'createdAt', leadpipe.iso8601(m.created_at), 'by', m.actor)
    order by m.created_at desc, m.id desc), '[]')
  from leadpipe.customer_merges m
  where m.undone_at is null and m.erased_at is null and m.created_at > clock_timestamp() - interval '30 days'
    and exists (select from leadpipe.merged_rows r
                where r.merge = m.id and ((r.kind = 'phone' and r.value = any (p_phones)) or (r.kind = 'email' and r.value = any (p_emails))))
$$;
revoke all on function leadpipe.merges_of(text[], text[]) from public, anon, authenticated;
