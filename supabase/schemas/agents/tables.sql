-- The agency's employees who respond to leads.

create table public.agents (
  id uuid constraint agents_pkey primary key default leadpipe.uuid_v7(),
  name text not null,
  email text constraint agents_email_key unique,
  phone text,
  department text,
  photo_url text,
  status text not null default 'available',
  max_capacity integer not null default 15,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create or replace trigger agents_updated_at before update on public.agents
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.agents');
