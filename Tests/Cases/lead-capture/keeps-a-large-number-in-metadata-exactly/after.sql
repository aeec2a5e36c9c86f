select metadata ->> 'n', metadata ->> 'f' from conversations
