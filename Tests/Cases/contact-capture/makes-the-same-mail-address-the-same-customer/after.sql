select count(*), count(distinct customer_id) from conversations
