// jit KIND SECONDS: spins in anonymous executable memory; /tmp/perf-PID.map is
// hostile: append (45 MB, one line more each half second), many (64 MB), sparse (a
// hole of 2 GiB), fifo, zero (a link to /dev/zero), shadow (a link), names.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <time.h>
static char path[64];
static void bye(int s){unlink(path);_exit(0);}
#include <signal.h>
int main(int c,char**v){
  signal(SIGALRM,bye);signal(SIGTERM,bye);alarm(atoi(v[2]));
  snprintf(path,64,"/tmp/perf-%d.map",getpid());
  unsigned char*m=mmap(0,1<<20,7,MAP_PRIVATE|MAP_ANONYMOUS,-1,0);
  memset(m,0x90,1<<20); m[(1<<20)-1]=0xc3;
  char*k=v[1];
  if(!strcmp(k,"many")||!strcmp(k,"append")){
    int max=!strcmp(k,"many")?6200000:3700000;
    FILE*f=fopen(path,"w");static char buf[1<<20];setvbuf(f,buf,_IOFBF,1<<20);
    for(int i=1;i<=max;i++)fprintf(f,"%x 1 a\n",i);
    fclose(f);
    if(!strcmp(k,"append")&&fork()==0){ // one line more every half second
      alarm(atoi(v[2]));signal(SIGALRM,SIG_DFL);
      for(int i=0;;i++){usleep(500000);FILE*f=fopen(path,"a");if(f){fprintf(f,"%x 1 b\n",4000000+i);fclose(f);}}
    }
  } else if(!strcmp(k,"sparse")){int f=open(path,O_CREAT|O_RDWR,0644);ftruncate(f,2L<<30);}
  else if(!strcmp(k,"fifo")) mkfifo(path,0666);
  else if(!strcmp(k,"zero")) symlink("/dev/zero",path);
  else if(!strcmp(k,"shadow")) symlink("/etc/shadow",path);
  else if(!strcmp(k,"names")){FILE*f=fopen(path,"w");
    fprintf(f,"%lx %x \033]0;pwned\007\033[31mRED\033[0m\r\n",(long)m,1<<18);
    fprintf(f,"%lx %x bidi\xe2\x80\xae" "gpj.exe\xc2\x9b" "31m\n",(long)m+(1<<18),1<<18);
    fprintf(f,"%lx %x \xff\xfe\xfd bad\xc3(utf8\n",(long)m+(2<<18),1<<18);
    fprintf(f,"%lx %x ",(long)m+(3<<18),1<<18);for(int i=0;i<1<<20;i++)fputc('L',f);fputc('\n',f);fclose(f);}
  for(;;)((void(*)(void))m)();
}
