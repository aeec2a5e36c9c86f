-- What conversations are searched and sorted by beyond their own columns: one row in conversation_words for each. A
-- capture does not write it, because making the words costs several times what storing a short lead does. Triggers note
-- which conversations have changed, and index_conversations brings the words up to date: in housekeeping, and before a
-- read.
--
--   conversations, chat_messages ──trigger──▶ conversation_changes ──index_conversations──▶ conversation_words

-- No key and no order: rows are added at one end and removed soon. An id may occur more than once, also after its
-- conversation was deleted.
create table public.conversation_changes (
  conversation_id uuid not null
);
select leadpipe.protect_table('public.conversation_changes');
comment on table public.conversation_changes is 'Which conversations have changed since conversation_words was written.';

create table public.conversation_words (
  conversation_id uuid constraint conversation_words_pkey primary key
    constraint conversation_words_conversation_id_fkey references public.conversations (id) on delete cascade,
  created_at timestamptz not null,
  lead_score integer not null,
  amount double precision,
  words tsvector not null
);
-- The planner must know four thousand words: it estimates all others as rarer than these.
alter table public.conversation_words alter column words set statistics 400;
create index conversation_words_words_idx on public.conversation_words using gin (words);
create index conversation_words_created_at_idx on public.conversation_words (created_at, conversation_id);
create index conversation_words_amount_idx on public.conversation_words (amount, created_at, conversation_id)
  where amount is not null;
create index conversation_words_no_amount_idx on public.conversation_words (created_at, conversation_id)
  where amount is null;
select leadpipe.protect_table('public.conversation_words');
comment on table public.conversation_words is
  'The words by which conversations are found, made from them and their messages. Rows for conversations in conversation_changes are out of date.';
comment on column public.conversation_words.amount is 'The largest amount of the budget, in dirhams; null where it names none.';
comment on column public.conversation_words.words is
  'Words of name (A), mail (B), tags and notes (C) and messages. And exact terms: e= mail addresses, p= the telephone number and
r= the same from its end, s= status, q= quality, i= intent, a= area, g= agent, o= source, l= first answer, t= tags.';

-- Every word there is, so that a search for the beginning of a word can look up the words that it may mean: that costs
-- a tenth of a prefix search.
create table public.known_words (
  word text collate "C" constraint known_words_pkey primary key
);
select leadpipe.protect_table('public.known_words');
comment on table public.known_words is 'The words of conversation_words except numbers. None is removed: a word that no longer occurs finds nothing.';
