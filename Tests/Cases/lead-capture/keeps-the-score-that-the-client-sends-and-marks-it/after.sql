select lead_score, lead_quality, lead_score_breakdown ->> 'source' from conversations
