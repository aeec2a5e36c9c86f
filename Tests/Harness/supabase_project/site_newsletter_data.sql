insert into newsletter_subscribers (email, status) values ('Reader@Example.com', null);
