// storm KIND N: load on the watcher by numbers.
//   forks    children that make a call and end, N at a time
//   execs    the same, each becomes another program first
//   threads  N threads, each makes a call now and then
//   maps     N executable mappings, in eight processes
//   paths    the same of a file with a path of almost 4096 characters
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *idle(void *unused) {
  for (;;) { usleep(500000 + rand() % 500000); getppid(); }
  return unused;
}

static void work(void) {
  for (;;) {
    for (volatile int i = 0; i < 2000000; i++) {}
    usleep(200000);
    getppid();
  }
}

static int deep(void) {
  char d[251];
  memset(d, 'd', 250);
  d[250] = 0;
  for (int i = 0; i < 15; i++) {
    mkdir(d, 0755);
    if (chdir(d)) break;
  }
  return open("lib.so", O_RDWR | O_CREAT, 0755);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *kind = argv[1];
  int n = atoi(argv[2]);
  if (!strcmp(kind, "threads")) {
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 32768);
    for (int i = 0; i < n; i++) pthread_create(&t, &a, idle, 0);
    for (;;) pause();
  }
  if (!strcmp(kind, "maps") || !strcmp(kind, "paths")) {
    int f = strcmp(kind, "paths") ? -1 : deep();
    if (f >= 0 && ftruncate(f, 8192L * n)) return 1;
    char *m = mmap(0, 8192L * n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (long i = 0; i < n; i++) {
      if (f < 0 ? mprotect(m + 8192 * i, 4096, PROT_READ | PROT_EXEC)
                : mmap(m + 8192 * i, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, f, 8192 * i) == MAP_FAILED)
        break;
    }
    for (int i = 0; i < 7; i++)
      if (!fork()) work();
    work();
  }
  for (;;) {
    for (int i = 0; i < n; i++)
      if (!fork()) {
        if (!strcmp(kind, "execs")) execl("/bin/true", "true", (char *)0);
        getppid();
        _exit(0);
      }
    for (int i = 0; i < n; i++) wait(0);
  }
}
