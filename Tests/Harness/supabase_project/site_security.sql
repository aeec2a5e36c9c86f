-- The website's administrators with their sessions. Its admin_sessions has other columns than Leadpipe's.
create table admin_users (
  id uuid default gen_random_uuid() primary key,
  user_id uuid references auth.users (id) on delete cascade,
  email varchar(255) not null unique
);
alter table admin_users enable row level security;
create table admin_sessions (
  id uuid default gen_random_uuid() primary key,
  admin_id uuid not null references admin_users (id) on delete cascade,
  session_token varchar(500) not null unique,
  created_at timestamp default now(),
  expires_at timestamp default (now() + interval '8 hours')
);
create index idx_sessions_expires_at on admin_sessions (expires_at);
grant all on admin_sessions to anon, authenticated, service_role;
create function purge_sessions() returns void language sql security definer set search_path = public as
  $$ delete from admin_sessions where expires_at < now() $$;
create view live_sessions as select admin_id, session_token from admin_sessions where expires_at > now();
grant select on live_sessions to anon;
alter publication supabase_realtime add table admin_sessions;
