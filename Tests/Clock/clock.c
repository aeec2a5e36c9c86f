/* Moves the wall clock by OFFSET seconds in every process that loads this library, and by the seconds in OFFSET_FILE, a
 * 64-bit number that may change while the processes run. CLOCK_MONOTONIC and other clocks that only measure intervals do
 * not change. Times that the kernel keeps, of files and processes, do not change either. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The C library's function. It reads the clock without a system call, as a confined process must. */
static int (*read_clock)(clockid_t, struct timespec *);

/* Mapped at the start, because a process that is confined later can no longer open the file. */
static const volatile int64_t *more;

__attribute__((constructor)) static void find(void) {
  if (!read_clock) read_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

__attribute__((constructor)) static void map(void) {
  int file = open(OFFSET_FILE, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *mapped = mmap(0, sizeof *more, PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) more = mapped;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  find();
  int status = read_clock(clock, time);
  if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += OFFSET + (more ? *more : 0);
  }
  return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  (void)zone;
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME_COARSE, &now)) return -1;
  if (result) *result = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *time, int base) {
  return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
}
