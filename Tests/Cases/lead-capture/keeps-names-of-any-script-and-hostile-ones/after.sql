select string_agg(customer_name, '|' order by created_at, id) like '%DROP TABLE%', count(*) from conversations
