select customer_name = U&'Zo\00E9 M\00FCller' from conversations
