// clerk answers small requests over TCP, a line each, with a few threads. What
// it can do is little; what goes wrong in it are causes of slowness of a
// general kind, one in each file.
#ifndef CLERK_H
#define CLERK_H

#include <stdbool.h>
#include <stddef.h>

enum { LINE = 1024, REPLY = 64 * 1024 };

struct settings {
	char dir[512];
	int port, workers, backend;
};
extern struct settings settings;

bool settings_load(const char *file);

// serve listens and answers with settings.workers threads until the process ends.
void serve(void);

// answer does what a request asks for and writes the reply, with its newline, to
// out, which has REPLY bytes; it returns the reply's length.
size_t answer(char *request, char *out);

// backend.c: rates from another service, over a connection of each thread's own.
long fetch_rate(int currency);
long poll_rate(int currency);
long fetch_history(int currency, int days);
// basket.c: what needs several rates.
long price_basket(int basket);
long show_history(int currency);
void basket_lines(int n);
void history_days(int n);
// journal.c: notes that must be on the disk.
void journal_note(const char *text);
void journal_commit(const char *text);
// catalog.c: articles and their prices.
void catalog_fill(void);
long catalog_find(const char *name);
size_t catalog_rank(const char *word, char *out);
long quote_order(int article, int count);
long reprice_all(int steps);
// list.c: what clients are sent as text.
size_t list_page(int page, char *out);
size_t export_file(int rows, char *out);

#endif
