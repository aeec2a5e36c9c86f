-- The word index: data for searching and sorting conversations beyond their own columns, one row in conversation_words
-- for each conversation. Capture does not write it, because extracting the words costs several times as much as storing
-- a short lead. Triggers record which conversations have changed, and index_conversations updates the words during
-- housekeeping and before a read.
--
--   conversations, chat_messages ──trigger──▶ conversation_changes ──index_conversations──▶ conversation_words

-- No key and no order: rows are appended and soon removed. An id can occur more than once, and can remain after its
-- conversation was deleted.
create table public.conversation_changes (
  conversation_id uuid not null
);
select leadpipe.protect_table('public.conversation_changes');
comment on table public.conversation_changes is 'Conversations that have changed since their row in conversation_words was written.';

create table public.conversation_words (
  conversation_id uuid constraint conversation_words_pkey primary key
    constraint conversation_words_conversation_id_fkey references public.conversations (id) on delete cascade,
  created_at timestamptz not null,
  lead_score integer not null,
  amount double precision,
  words tsvector not null
);
-- Statistics on 4,000 words: the planner estimates all other words as rarer than these.
alter table public.conversation_words alter column words set statistics 400;
create index conversation_words_words_idx on public.conversation_words using gin (words);
create index conversation_words_created_at_idx on public.conversation_words (created_at, conversation_id);
create index conversation_words_amount_idx on public.conversation_words (amount, created_at, conversation_id)
  where amount is not null;
create index conversation_words_no_amount_idx on public.conversation_words (created_at, conversation_id)
  where amount is null;
select leadpipe.protect_table('public.conversation_words');
comment on table public.conversation_words is
  'The word index: words and exact terms of conversations and their messages. Rows of conversations in conversation_changes are out of date.';
comment on column public.conversation_words.amount is 'conversations.budget_amount.';
comment on column public.conversation_words.words is
  'Words of the name (weight A), email address (B), tags and notes (C) and messages (D). Exact terms: e= email addresses,
p= phone number, r= phone number reversed, s= status, q= quality, i= intent, a= area, g= agent or none, o= source, l= first response, t= tags.';

-- One row, added by index_conversations and locked while it runs. An advisory lock could also be held by a login that
-- has no rights on tables.
create table leadpipe.index_lock (
  only_row boolean constraint index_lock_pkey primary key default true constraint index_lock_only_row check (only_row),
  swept_to text
);
revoke all on table leadpipe.index_lock from public, anon, authenticated, service_role;
comment on column leadpipe.index_lock.swept_to is 'The last of the known words that sweep_words has looked at; null at the beginning of the list.';

-- All indexed words. A search for the beginning of a word looks up the words that begin with it here, which costs a
-- tenth of a prefix search.
create table public.known_words (
  word text collate "C" constraint known_words_pkey primary key
);
select leadpipe.protect_table('public.known_words');
comment on table public.known_words is 'The words in conversation_words, except numbers. A word that no longer occurs matches nothing, and is removed: with the text that had it, or by sweep_words.';
