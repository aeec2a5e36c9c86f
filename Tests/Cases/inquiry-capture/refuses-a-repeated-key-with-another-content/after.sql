select string_agg(customer_name, ',') from conversations
