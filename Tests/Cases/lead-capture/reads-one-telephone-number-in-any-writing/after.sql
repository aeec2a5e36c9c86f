select count(*), count(distinct customer_id), count(distinct customer_phone) from conversations
