select count(*) from conversations
