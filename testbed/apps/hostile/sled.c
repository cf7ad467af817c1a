// sled SECONDS: runs through a million nops: every sample is at another address.
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline,aligned(4096))) void sled(void){ __asm__ volatile(".rept 1000000\nnop\n.endr\n"); }
int main(int c,char**v){alarm(c>1?atoi(v[1]):60);for(;;)sled();}
