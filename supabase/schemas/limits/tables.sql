-- The counts of RATE_LIMIT_STORE=postgres (docs/decisions/0028-shared-rate-limits.md). Unlogged: a change costs no flush
-- to disk, and after a crash of the database the table is empty. Nothing refers to it, and only functions read it.

-- One row for each client of a limit. Only the bucket and the key are indexed, so that an update changes no index.
create unlogged table leadpipe.rate_counts (
  rate text not null constraint rate_counts_rate_check check (rate in (
    'accepted', 'lead', 'lead/48', 'contact', 'contact/48', 'admin', 'admin/48', 'export', 'export/48', 'default',
    'default/48', 'refused-keys', 'refused-keys/48', 'turns')),
  key text not null constraint rate_counts_key_check check (octet_length(key) <= 80),
  bucket smallint not null,
  times bigint[] not null default '{}',
  counts integer[] not null default '{}',
  half bigint,
  ends bigint not null default 0,
  constraint rate_counts_pkey primary key (rate, key)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.1);
create index rate_counts_bucket_idx on leadpipe.rate_counts (rate, bucket);
revoke all on table leadpipe.rate_counts from public, anon, authenticated, service_role;
comment on table leadpipe.rate_counts is 'Requests that clients were admitted for. Empty after a crash.';
comment on column leadpipe.rate_counts.rate is 'The limit: a rate class, its limit for the /48 of IPv6 addresses, the refused keys, or the accepted keys.';
comment on column leadpipe.rate_counts.key is 'An address or network, or the hash of a key. The row `shared N` counts all new clients of the full bucket N.';
comment on column leadpipe.rate_counts.bucket is 'One of 1,024 buckets of 64 clients.';
comment on column leadpipe.rate_counts.times is 'When requests were admitted, in Unix milliseconds, ascending. At most about 130.';
comment on column leadpipe.rate_counts.counts is 'How many requests were admitted at each of the times.';
comment on column leadpipe.rate_counts.half is 'The time of an admission of which half was given back.';
comment on column leadpipe.rate_counts.ends is 'When nothing in the row counts any more, in Unix milliseconds.';
