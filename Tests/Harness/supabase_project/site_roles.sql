-- A website's project before Leadpipe: its administrators, and pages that everyone may read.
create type app_role as enum ('admin', 'user');
create table user_roles (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  role app_role not null,
  created_at timestamptz not null default now(),
  unique (user_id, role)
);
alter table user_roles enable row level security;
create function has_role(_user_id uuid, _role app_role) returns boolean
language sql stable security definer set search_path = public as
  $$ select exists (select 1 from public.user_roles where user_id = _user_id and role = _role) $$;
create policy "Users see their roles" on user_roles for select using (auth.uid() = user_id);
create policy "Admins give roles" on user_roles for insert with check (has_role(auth.uid(), 'admin'));

create table blog_posts (
  id uuid primary key default gen_random_uuid(),
  title text not null,
  published boolean not null default false
);
alter table blog_posts enable row level security;
create policy "Anyone reads what is published" on blog_posts for select using (published or has_role(auth.uid(), 'admin'));
grant select on blog_posts to anon, authenticated;
create function is_editor() returns boolean language sql stable security definer set search_path = public as
  $$ select exists (select 1 from public.user_roles where user_id = auth.uid()) $$;
create policy "Editors publish" on blog_posts for update to authenticated using (is_editor());
grant update on blog_posts to authenticated;
