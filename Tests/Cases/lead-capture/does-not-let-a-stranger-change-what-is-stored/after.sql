select customer_name, customer_phone, customer_email, lead_score, notes from conversations
