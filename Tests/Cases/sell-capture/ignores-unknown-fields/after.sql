select source, status, lead_quality, lead_score < 100 from conversations
