select lead_score, lead_quality, customer_email, notes, budget from conversations
