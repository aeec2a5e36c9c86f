-- Generated from schemas/ by `make migration`. This file can run again at any time.

alter type public.lead_event_type add value if not exists 'lead.receipt';
