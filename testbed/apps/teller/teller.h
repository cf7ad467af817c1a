/* teller answers over HTTP/1.1, a thread for each connection. Some of its requests
 * take a slow way from its first second on, which its configuration chooses. */
#ifndef TELLER_H
#define TELLER_H

struct settings {
	char dir[256];
	int port;
	char slow[32];
	int permille;
};

extern struct settings settings;

void ways_init(void);
/* answer works for one request and returns the length of the body. */
int answer(long id, char *body, int room);
void serve(void);

#endif
