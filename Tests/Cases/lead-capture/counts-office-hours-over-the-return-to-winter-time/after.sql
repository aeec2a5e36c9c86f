select sla_response_deadline at time zone 'UTC' from conversations
