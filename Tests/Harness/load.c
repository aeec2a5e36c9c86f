// Sends requests to an HTTP server at a fixed rate or as fast as it answers, and prints the results.
//
//   load PORT SECONDS RATE CONNECTIONS SOURCES HEALTH SEED
//
// RATE is the number of requests a second, sent whether or not earlier ones have been answered, each on a free
// connection. If none is free, the request is sent when one is, and its time counts from when it was due. With a RATE
// of 0, each connection sends its next request when the last one is answered. CONNECTIONS stay open and are distributed
// over SOURCES, local addresses separated by commas. Every HEALTH-th request is GET /health; the others are leads of
// different customers. With a HEALTH of 0, all are leads. Prints one JSON document. It has one thread, because it
// shares the machine with the server that it measures.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 16384, STATUSES = 600 };

struct connection {
  int fd, isBusy, isOpen, wasHealth;
  double due, sent;
  size_t have;
  char buffer[BUFFER];
};

static struct connection *connections;
static int *ring, firstFree, freeCount, count, epollFd;
static struct sockaddr_in server, *sources;
static int sourceCount, port, health;
static unsigned long number, sent, answered, unsent, resets, unconnected, opened, withoutRetryAfter, byStatus[STATUSES];
static double *times, *sentTimes, *allTimes, *healthTimes;
static size_t timesCount, timesRoom, sentCount, sentRoom, allCount, allRoom, healthCount, healthRoom;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void keep(double **list, size_t *used, size_t *room, double value) {
  if (*used == *room) *list = realloc(*list, sizeof(double) * (*room = *room ? 2 * *room : 65536));
  (*list)[(*used)++] = value;
}

// Free connections are used in turn, so that none is idle for long.
static void release(int index) { ring[(firstFree + freeCount++) % count] = index; }

static int reserve(void) {
  int index = ring[firstFree];
  firstFree = (firstFree + 1) % count;
  freeCount--;
  return index;
}

// Starts to connect. The connection is free once it is open.
static void dial(int index) {
  struct connection *c = &connections[index];
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int one = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  bind(c->fd, (struct sockaddr *)&sources[index % sourceCount], sizeof *sources);
  c->have = c->isBusy = c->isOpen = 0;
  if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS) unconnected++;
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = index};
  epoll_ctl(epollFd, EPOLL_CTL_ADD, c->fd, &event);
}

// The server has closed the connection. This counts as a reset if a reply was due.
static void redial(int index) {
  struct connection *c = &connections[index];
  close(c->fd);
  if (!c->isOpen) unconnected++;
  if (c->isBusy) resets++;
  dial(index);
}

static void open_(int index) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
  epoll_ctl(epollFd, EPOLL_CTL_MOD, connections[index].fd, &event);
  connections[index].isOpen = 1;
  opened++;
  release(index);
}

static void send_request(int index, double due) {
  struct connection *c = &connections[index];
  char text[1024], body[512];
  number++;
  c->wasHealth = health && number % health == 0;
  int length;
  if (c->wasHealth) {
    length = snprintf(text, sizeof text, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  } else {
    int bodyLength = snprintf(body, sizeof body,
                              "{\"customerName\":\"Load Test\",\"customerPhone\":\"+97150%07lu\",\"intent\":\"buy\","
                              "\"budget\":\"AED 2,000,000\",\"messages\":[{\"id\":\"m%lu\",\"sender\":\"user\",\"messageText\":\"I "
                              "look for two rooms in Marina\"}]}",
                              number % 10000000, number);
    length = snprintf(text, sizeof text,
                      "POST /api/chatbot/leads HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      "Content-Length: %d\r\n\r\n%s",
                      bodyLength, body);
  }
  c->isBusy = 1;
  c->due = due;
  c->sent = now();
  sent++;
  if (send(c->fd, text, length, MSG_NOSIGNAL) != length) redial(index);
}

// Returns 1 if the connection is free again.
static int take(int index) {
  struct connection *c = &connections[index];
  ssize_t got = recv(c->fd, c->buffer + c->have, BUFFER - 1 - c->have, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (got <= 0) {
    redial(index);
    return 0;
  }
  c->have += got;
  c->buffer[c->have] = 0;
  char *end = strstr(c->buffer, "\r\n\r\n");
  if (!end) return 0;
  char *length = strcasestr(c->buffer, "\r\ncontent-length:");
  size_t whole = end + 4 - c->buffer + (length && length < end ? strtoul(length + 17, 0, 10) : 0);
  if (c->have < whole) return 0;
  int status = atoi(c->buffer + 9);
  if (status < 0 || status >= STATUSES) status = 0;
  byStatus[status]++;
  answered++;
  *end = 0;
  if (status == 200 || status == 201) {
    keep(&allTimes, &allCount, &allRoom, now() - c->due);
    if (c->wasHealth) keep(&healthTimes, &healthCount, &healthRoom, now() - c->due);
    else {
      keep(&times, &timesCount, &timesRoom, now() - c->due);
      keep(&sentTimes, &sentCount, &sentRoom, now() - c->sent);
    }
  } else if (!strcasestr(c->buffer, "\r\nretry-after:")) {
    withoutRetryAfter++;
  }
  int closes = strcasestr(c->buffer, "\r\nconnection: close") != 0;
  c->have = c->isBusy = 0;
  if (closes) redial(index);
  return !closes;
}

static int less(const void *a, const void *b) {
  double x = *(double *)a, y = *(double *)b;
  return x < y ? -1 : x > y;
}

static void print_times(const char *name, double *list, size_t n) {
  qsort(list, n, sizeof *list, less);
  printf("\"%s\":{\"count\":%zu,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f},", name, n, n ? list[n / 2] * 1e3 : 0,
         n ? list[n - 1 - n / 100] * 1e3 : 0, n ? list[n - 1] * 1e3 : 0);
}

int main(int argc, char **argv) {
  if (argc != 8) return 64;
  port = atoi(argv[1]);
  double seconds = atof(argv[2]), rate = atof(argv[3]);
  count = atoi(argv[4]);
  health = atoi(argv[6]);
  number = strtoul(argv[7], 0, 10);
  struct rlimit files = {65536, 65536};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  sources = calloc(strlen(argv[5]) + 1, sizeof *sources);
  for (char *one = strtok(argv[5], ","); one; one = strtok(0, ",")) {
    sources[sourceCount].sin_family = AF_INET;
    sources[sourceCount++].sin_addr.s_addr = inet_addr(one);
  }
  connections = calloc(count, sizeof *connections);
  ring = calloc(count, sizeof *ring);
  epollFd = epoll_create1(0);
  struct epoll_event events[256];
  double limit = now() + 10;
  for (int index = 0; opened < (unsigned long)count && now() < limit;) {
    if (index < count) dial(index++);
    int n = epoll_wait(epollFd, events, 256, index < count ? 0 : 100);
    for (int i = 0; i < n; i++)
      if (events[i].events & EPOLLERR) redial(events[i].data.u32);
      else if (!connections[events[i].data.u32].isOpen) open_(events[i].data.u32);
  }
  double start = now(), end = start + seconds;
  unsigned long planned = 0;
  for (;;) {
    double time = now();
    if (time >= end + 3) break;
    if (time >= end && answered + resets == sent) break;
    if (time < end) {
      while (freeCount && (rate == 0 || planned < (time - start) * rate)) {
        double due = rate == 0 ? time : start + planned / rate;
        planned++;
        send_request(reserve(), due);
      }
    }
    int n = epoll_wait(epollFd, events, 256, rate == 0 ? 100 : 1);
    for (int i = 0; i < n; i++)
      if (!connections[events[i].data.u32].isOpen && !(events[i].events & (EPOLLERR | EPOLLHUP))) open_(events[i].data.u32);
      else if (take(events[i].data.u32)) release(events[i].data.u32);
  }
  if (rate > 0 && planned + 1 < seconds * rate) unsent = seconds * rate - planned;
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("{\"seconds\":%.1f,\"sent\":%lu,\"unsent\":%lu,\"unanswered\":%lu,\"resets\":%lu,\"unconnected\":%lu,\"withoutRetryAfter\":%lu,", seconds, sent,
         unsent, sent - answered - resets, resets, unconnected, withoutRetryAfter);
  print_times("leads", times, timesCount);
  print_times("sinceSent", sentTimes, sentCount);
  print_times("all", allTimes, allCount);
  print_times("health", healthTimes, healthCount);
  printf("\"cpu\":%.1f,\"next\":%lu,\"statuses\":{", use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6,
         number);
  const char *comma = "";
  for (int status = 0; status < STATUSES; status++)
    if (byStatus[status]) {
      printf("%s\"%d\":%lu", comma, status, byStatus[status]);
      comma = ",";
    }
  printf("}}\n");
  return 0;
}
