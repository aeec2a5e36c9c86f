select customer_name, replace(notes, chr(10), '/') from conversations
