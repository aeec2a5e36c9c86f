// The lower bound: a C program with libpq that only does the insert. Reads the argument of capture_lead from stdin.
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  static char argument[65536];
  size_t length = 0;
  ssize_t count;
  while (length < sizeof argument - 1 && (count = read(0, argument + length, sizeof argument - 1 - length)) > 0)
    length += (size_t)count;
  PGconn *connection = PQconnectdb(getenv("DATABASE_URL"));
  const char *values[] = {argument};
  PGresult *result =
      PQexecParams(connection, "select public.capture_lead($1::jsonb)", 1, NULL, values, NULL, NULL, 0);
  if (PQresultStatus(result) != PGRES_TUPLES_OK) {
    fprintf(stderr, "%s", PQerrorMessage(connection));
    return 1;
  }
  puts(PQgetvalue(result, 0, 0));
  PQclear(result);
  PQfinish(connection);
  return 0;
}
