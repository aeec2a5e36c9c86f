insert into conversations (id, customer_name, customer_phone, customer_email, lead_score, lead_quality, notes, budget, status, sla_response_deadline, tags)
  values ('3f2504e0-4f89-11d3-9a0c-0305e82c3301', 'Stored Name', '+971500000001', 'stored@example.com', 60, 'warm', 'kept', 'AED 1M', 'in-progress', '2026-11-22T20:00:00Z', '{old}');
