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
  updated_at timestamptz not null default now(),
  languages text[],
  areas text[],
  last_assigned_at timestamptz
);
-- A lead that the agent gets changes nothing that people entered.
create or replace trigger agents_updated_at before update on public.agents
  for each row when (old.last_assigned_at is not distinct from new.last_assigned_at) execute function public.update_updated_at_column();
select leadpipe.protect_table('public.agents');
comment on column public.agents.languages is 'The languages that the agent speaks, as lower-case BCP 47 tags; null if unknown.';
comment on column public.agents.areas is 'The areas that the agent knows; null if unknown.';
comment on column public.agents.last_assigned_at is 'When the agent last got a lead; null if never.';
