-- Parses a search string into queries on words: `wanted` for the whole string, and the parts that can match words,
-- email addresses and phone numbers. The string is converted to lexemes only, so operators in it have no meaning. A
-- word matches by its beginning. A phone number matches by its end in any notation or, if it has at least 8 digits, by
-- its beginning. `p_numbers` lists the whole numbers in the string, [{"text", "digits"}], as the code that reads them in
-- leads has read them; other runs of digits can be parts of numbers.
create or replace function leadpipe.parse_query(
  p text, p_numbers jsonb, out wanted tsquery, out words tsquery, out mails tsquery, out phones tsquery)
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  c_address constant text := '[^[:space:]<>"''(),;:@]+@[^[:space:]<>"''(),;:@]*[^[:space:]<>"''(),;:@.]';
  c_number constant text := '(?<![[:alnum:]])\+?\(?[0-9](?:[ ().\-/\u2010-\u2013]*[0-9]){3,}(?![[:alnum:]])';
  v_rest text := p;
  v_part text;
  v_digits text;  -- of a whole number
  v_number text;
  v_phone text;
  v_all text[];
  v_words text[];
  v_mails text[];
  v_phones text[];
begin
  for v_part in select n ->> 'text' from jsonb_array_elements(p_numbers) as n loop
    v_rest := replace(v_rest, v_part, ' ');
  end loop;
  v_rest := translate(
    regexp_replace(normalize(v_rest, nfkc), '[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]', '', 'g'),
    '٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९', '012345678901234567890123456789');
  for v_part in select distinct lower(m[1]) from regexp_matches(v_rest, '(' || c_address || ')', 'g') as m loop
    v_mails := v_mails || (leadpipe.quote_lexeme('e=' || left(v_part, 300)) || ':*');
  end loop;
  v_all := v_mails;
  v_rest := regexp_replace(v_rest, c_address, ' ', 'g');

  for v_part, v_digits in
    select n ->> 'text', n ->> 'digits' from jsonb_array_elements(p_numbers) as n
    union select m[1], null from regexp_matches(v_rest, '(' || c_number || ')', 'g') as m
  loop
    v_number := left(leadpipe.phone_digits(v_part), 30);
    v_phone := leadpipe.quote_lexeme('r=' || reverse(case when v_part ~ '^\(?0[^0]' then substr(v_number, 4) else v_number end)) || ':*';
    if length(v_number) >= 8 then
      v_phone := v_phone || '|' || leadpipe.quote_lexeme('p=' || v_number) || ':*';
    end if;
    if v_digits is not null then
      v_phone := v_phone || '|' || leadpipe.quote_lexeme('r=' || reverse(v_digits)) || ':*|' || leadpipe.quote_lexeme('p=' || v_digits) || ':*';
    end if;
    v_phones := v_phones || v_phone;
    v_words := v_words || leadpipe.word_query(v_part, '&');
    v_all := v_all || concat_ws('|', v_phone, leadpipe.word_query(v_part, '&'));
  end loop;
  v_rest := regexp_replace(v_rest, c_number, ' ', 'g');

  wanted := '(' || nullif(array_to_string(v_all || leadpipe.word_query(v_rest, '&'), ')&('), '') || ')';
  words := nullif(array_to_string(v_words || leadpipe.word_query(v_rest, '|'), '|'), '');
  mails := array_to_string(v_mails, '|');
  phones := array_to_string(v_phones, '|');
end
$$;
revoke all on function leadpipe.parse_query(text, jsonb) from public, anon, authenticated;
