#include "clerk.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 4000000 };

static uint32_t sessions[SESSIONS];
static atomic_int opened = 50;

// answer is on the stack of nearly everything that is done. For each request it
// looks through all sessions itself: of few nobody notices.
size_t answer(char *request, char *out)
{
	char verb[16] = "", word[64] = "";
	int n = 0, m = 0;
	request[strcspn(request, "\n")] = 0;
	sscanf(request, "%15s %63s", verb, word);
	sscanf(request, "%*s %d %d", &n, &m);
	long value = 0;
	size_t size = 0;
	size_t session = 0;
	for (int i = 0, all = atomic_load(&opened); i < all; i++) {
		if (sessions[i] == (uint32_t)n)
			session = i;
		__asm__ volatile("" ::: "memory"); // one look at a time
	}
	if (strcmp(verb, "FIND") == 0)
		value = catalog_find(word);
	else if (strcmp(verb, "RATE") == 0)
		value = fetch_rate(n);
	else if (strcmp(verb, "POLL") == 0)
		value = poll_rate(n);
	else if (strcmp(verb, "BASKET") == 0)
		value = price_basket(n);
	else if (strcmp(verb, "HISTORY") == 0)
		value = show_history(n);
	else if (strcmp(verb, "LINES") == 0)
		basket_lines(n);
	else if (strcmp(verb, "DAYS") == 0)
		history_days(n);
	else if (strcmp(verb, "NOTE") == 0)
		journal_note(request);
	else if (strcmp(verb, "COMMIT") == 0)
		journal_commit(request);
	else if (strcmp(verb, "QUOTE") == 0)
		value = quote_order(n, m);
	else if (strcmp(verb, "REPRICE") == 0)
		value = reprice_all(n);
	else if (strcmp(verb, "SESSIONS") == 0)
		atomic_store(&opened, n < SESSIONS ? n : SESSIONS);
	else if (strcmp(verb, "RANK") == 0)
		size = catalog_rank(word, out);
	else if (strcmp(verb, "PAGE") == 0)
		size = list_page(n, out);
	else if (strcmp(verb, "EXPORT") == 0)
		size = export_file(n, out);
	else
		size = snprintf(out, REPLY, "ERROR %.40s\n", verb);
	if (size == 0)
		size = snprintf(out, REPLY, "OK %ld %zu\n", value, session);
	return size;
}
