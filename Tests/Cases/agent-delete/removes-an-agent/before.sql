insert into agents (id, name, email) values ('00000000-0000-4000-8000-0000000000a1', 'Sara Khan', 'sara@example.com');
