// count THREADS CALLS: after six seconds each thread makes exactly CALLS getppid,
// a thousand of them every ten milliseconds; prints how many in all.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long calls;

static void *run(void *unused) {
  struct timespec pause = {0, 10000000};
  for (long i = 0; i < calls; i++) {
    syscall(SYS_getppid);
    if (i % 1000 == 999) nanosleep(&pause, 0);
  }
  return unused;
}

int main(int argc, char **argv) {
  pthread_t p[64];
  if (argc < 3) return 2;
  int threads = atoi(argv[1]);
  calls = atol(argv[2]);
  sleep(6);
  for (int i = 0; i < threads; i++) pthread_create(&p[i], 0, run, 0);
  for (int i = 0; i < threads; i++) pthread_join(p[i], 0);
  printf("%ld\n", threads * calls);
  fflush(stdout);
  sleep(4);
}
