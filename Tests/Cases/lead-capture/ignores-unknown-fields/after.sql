select status, id <> '00000000-0000-4000-8000-000000000009', created_at > '2020-01-01' from conversations
