-- Normalises a string for comparison: case folded, so that WEISS equals Weiß and a final sigma equals any other;
-- without accents, marks, vowel signs, tatweel, ligatures and invisible characters; with one form of alef, ya, ha, kaf
-- and each digit; and with a space in place of each punctuation mark, so that none has a meaning to the text search
-- parser.
--
-- The functions on words are written in PL/pgSQL even where SQL would do, because an SQL function that cannot be
-- inlined costs twenty times as much.
create or replace function leadpipe.fold_text(p text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_text text := p;
begin
  if octet_length(p) > length(p) then
    v_text := regexp_replace(lower(regexp_replace(normalize(p, nfkd), '[\u0300-\u036f]', '', 'g')),
      '[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]', '', 'g');
    v_text := translate(v_text,
      'ٱىیةەہکøłđðıς٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९‘’“”«»،؛؟٫٬…–—·•',
      'اييهههكolddiσ012345678901234567890123456789                ');
    v_text := replace(replace(replace(replace(v_text, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th');
  end if;
  return translate(lower(v_text), E'!"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~', '                                ');
end
$$;
revoke all on function leadpipe.fold_text(text) from public, anon, authenticated;
