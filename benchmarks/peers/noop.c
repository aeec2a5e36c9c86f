// Replaces notify-slack: reports every delivery as delivered immediately. The id of a message is the time at which its
// line was read, in nanoseconds.
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char description[] =
    "{\"name\":\"notify-slack\",\"kind\":\"step\",\"summary\":\"Does nothing\",\"routes\":[],\"access\":\"public\","
    "\"bodyLimit\":262144,\"timeLimitMs\":15000,\"environment\":[{\"name\":\"SLACK_WEBHOOK_URL\",\"required\":false},"
    "{\"name\":\"SLACK_WEBHOOK_NEWSLETTER_URL\",\"required\":false},{\"name\":\"FRONTEND_URL\",\"required\":false},"
    "{\"name\":\"LOG_LEVEL\",\"required\":false},{\"name\":\"LOG_FORMAT\",\"required\":false}]}";

int main(int count, char **arguments) {
  if (count > 1 && strcmp(arguments[1], "--describe") == 0) return puts(description) < 0;
  static char lines[4 << 20];
  size_t length = 0;
  ssize_t more;
  while ((more = read(0, lines + length, sizeof lines - length)) > 0) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    length += (size_t)more;
    char *line = lines, *end;
    while ((end = memchr(line, '\n', (size_t)(lines + length - line)))) {
      // Replaces the last brace of the line.
      fwrite(line, 1, (size_t)(end - line) - 1, stdout);
      printf(",\"outcome\":{\"class\":\"delivered\",\"providerId\":\"%ld%09ld\"}}\n", (long)now.tv_sec, now.tv_nsec);
      line = end + 1;
    }
    if (fflush(stdout) != 0) return 1;
    length -= (size_t)(line - lines);
    memmove(lines, line, length);
  }
  return 0;
}
