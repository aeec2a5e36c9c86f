// POST /api/chatbot/leads as a CGI program in C with libpq, with the minimum of work. It does not parse JSON; the
// database builds the argument of capture_lead from the body.
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *statement =
    "select public.capture_lead(jsonb_build_object('route', 'lead-capture', 'source', 'chatbot', 'lead', body || "
    "'{\"leadScore\": 42, \"leadQuality\": \"cold\", \"leadScoreBreakdown\": {\"source\": \"server\"}, \"tags\": []}', "
    "'idempotency', jsonb_build_object('key', body -> 'idempotencyKey', 'content', body), "
    "'messages', coalesce((select jsonb_agg(m || jsonb_build_object('text', m -> 'messageText', 'type', 'text', "
    "'sender', case m ->> 'sender' when 'user' then 'customer' else m ->> 'sender' end)) "
    "from jsonb_array_elements(body -> 'messages') m), '[]'), "
    "'event', jsonb_build_object('type', 'lead.created', 'payload', body - 'messages' - 'metadata' - 'idempotencyKey'), "
    "'timeline', '{\"title\": \"Lead Created\", \"description\": \"Captured from chatbot\"}'::jsonb)) from (select $1::jsonb) sent (body)";

int main(void) {
  static char body[65536];
  size_t length = 0;
  ssize_t count;
  while (length < sizeof body - 1 && (count = read(0, body + length, sizeof body - 1 - length)) > 0) length += (size_t)count;
  PGconn *connection = PQconnectdb(getenv("DATABASE_URL"));
  const char *values[] = {body};
  PGresult *result = PQexecParams(connection, statement, 1, NULL, values, NULL, NULL, 0);
  if (PQresultStatus(result) != PGRES_TUPLES_OK) {
    printf("Status: 500\r\nContent-Type: text/plain\r\n\r\n%s", PQerrorMessage(connection));
    return 1;
  }
  const char *reply = PQgetvalue(result, 0, 0);
  int created = strstr(reply, "\"created\": true") != NULL;
  printf("Status: %d\r\nContent-Type: application/json\r\n\r\n{\"reply\":%s,\"conversation\":%s}", created ? 201 : 200, reply, body);
  PQclear(result);
  PQfinish(connection);
  return 0;
}
