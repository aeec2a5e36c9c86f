select count(*), count(intent), count(budget), count(notes), count(metadata), bool_and(tags = '{}') from conversations
