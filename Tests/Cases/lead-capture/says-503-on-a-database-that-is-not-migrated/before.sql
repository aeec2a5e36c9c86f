drop function public.capture_lead(jsonb)
