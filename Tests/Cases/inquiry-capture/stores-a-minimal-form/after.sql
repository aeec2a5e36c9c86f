select count(*), count(metadata), bool_and(lead_score_breakdown ->> 'source' = 'server') from conversations
