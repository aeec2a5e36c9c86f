-- The newsletter's subscribers.

create table public.newsletter_subscribers (
  id uuid constraint newsletter_subscribers_pkey primary key default leadpipe.uuid_v7(),
  email text not null,
  subscribed_at timestamptz not null default now(),
  status text not null default 'active'
    constraint newsletter_subscribers_status_check check (status in ('active', 'unsubscribed', 'spam')),
  source text,
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unsubscribe_token uuid not null default gen_random_uuid()
    constraint newsletter_subscribers_unsubscribe_token_key unique,
  unsubscribed_at timestamptz
);
create unique index newsletter_subscribers_email_key on public.newsletter_subscribers (lower(email));
create index newsletter_subscribers_subscribed_at_idx on public.newsletter_subscribers (subscribed_at, id);
create or replace trigger newsletter_subscribers_updated_at before update on public.newsletter_subscribers
  for each row execute function public.update_updated_at_column();
select leadpipe.protect_table('public.newsletter_subscribers');
comment on column public.newsletter_subscribers.unsubscribe_token is
  'Part of the unsubscribe links sent to this subscriber. Anyone who has it can end the subscription.';
