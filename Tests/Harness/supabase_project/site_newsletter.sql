-- The website's newsletter, open to all roles.
create table newsletter_subscribers (
  id uuid default gen_random_uuid() primary key,
  email text not null unique,
  subscribed_at timestamptz default now() not null,
  status text default 'active' check (status in ('active', 'unsubscribed')),
  source text default 'website',
  ip_address text,
  user_agent text,
  created_at timestamptz default now() not null,
  updated_at timestamptz default now() not null
);
create index idx_newsletter_subscribers_email on newsletter_subscribers (email);
alter table newsletter_subscribers enable row level security;
grant all on newsletter_subscribers to anon, authenticated;
create policy "Anyone subscribes" on newsletter_subscribers for insert to public, anon with check (true);
create policy "Users read subscribers" on newsletter_subscribers for select to authenticated using (true);
create function update_newsletter_subscribers_updated_at() returns trigger language plpgsql as
  $$ begin new.updated_at = now(); return new; end $$;
create trigger update_newsletter_subscribers_updated_at before update on newsletter_subscribers
  for each row execute function update_newsletter_subscribers_updated_at();
