// victim FILE: a healthy service, two threads with 400 small operations a second
// each. From SIGUSR1 on each operation computes far too long, in slow_checksum.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t slow;
static const char *file;

static void on_signal(int s) { (void)s; slow = 1; }

__attribute__((noinline)) unsigned checksum(const unsigned char *p, int n) {
  unsigned sum = 0;
  for (int i = 0; i < n; i++) sum = sum * 31 + p[i];
  return sum;
}

__attribute__((noinline)) unsigned slow_checksum(const unsigned char *p, int n) {
  volatile unsigned sum = 0;
  for (int round = 0; round < 400; round++)
    for (int i = 0; i < n; i++) sum = sum * 31 + p[i];
  return sum;
}

__attribute__((noinline)) void serve_one(int fd, unsigned char *p) {
  volatile unsigned sum;
  pwrite(fd, p, 512, 0);
  pread(fd, p, 512, 0);
  sum = slow ? slow_checksum(p, 4096) : checksum(p, 4096);
  p[0] = (unsigned char)sum;
}

static void *run(void *unused) {
  int fd = open(file, O_RDWR | O_CREAT, 0600);
  unsigned char p[4096] = {1};
  struct timespec pause = {0, 2000000};
  for (;;) {
    serve_one(fd, p);
    nanosleep(&pause, 0);
  }
  return unused;
}

int main(int argc, char **argv) {
  pthread_t t;
  if (argc < 2) return 2;
  file = argv[1];
  signal(SIGUSR1, on_signal);
  pthread_create(&t, 0, run, 0);
  pthread_create(&t, 0, run, 0);
  for (;;) pause();
}
