-- Returns the fields of a conversation that match a part of the query.
create or replace function leadpipe.matched_fields(c public.conversations, p_words tsvector, p_asked record) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_tags text := array_to_string(c.tags, ' ');
begin
  return to_jsonb(array_remove(array[
    case when ts_filter(p_words, '{a}') @@ p_asked.words then 'name' end,
    case when p_words @@ p_asked.phones then 'phone' end,
    case when ts_filter(p_words, '{b}') @@ p_asked.words or ts_filter(p_words, '{b}') @@ p_asked.mails then 'email' end,
    case when leadpipe.text_words(v_tags) @@ p_asked.words or leadpipe.mail_terms(v_tags, 'C') @@ p_asked.mails then 'tags' end,
    case when leadpipe.text_words(c.notes) @@ p_asked.words or leadpipe.mail_terms(c.notes, 'C') @@ p_asked.mails then 'notes' end,
    case when ts_filter(p_words, '{d}') @@ p_asked.words or ts_filter(p_words, '{d}') @@ p_asked.mails then 'message' end], null));
end
$$;
revoke all on function leadpipe.matched_fields(public.conversations, tsvector, record) from public, anon, authenticated;
