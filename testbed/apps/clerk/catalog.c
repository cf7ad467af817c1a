#include "clerk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARTICLES = 5000 };

static struct article {
	char name[32];
	long price;
} articles[ARTICLES];

void catalog_fill(void)
{
	for (int i = 0; i < ARTICLES; i++) {
		snprintf(articles[i].name, sizeof articles[i].name, "article-%05d", i * 2);
		articles[i].price = 100 + i * 37 % 9000;
	}
}

static int by_name(const void *key, const void *a) { return strcmp(key, ((const struct article *)a)->name); }

__attribute__((noinline)) long catalog_find(const char *name)
{
	const struct article *a = bsearch(name, articles, ARTICLES, sizeof *a, by_name);
	return a ? a->price : -1;
}

// distance is how many letters differ.
__attribute__((noinline)) static int distance(const char *a, const char *b)
{
	int n = 0;
	for (int i = 0; i < 31 && (a[i] || b[i]); i++)
		n += a[i] != b[i];
	return n;
}

__attribute__((noinline)) static long checksum(const char *text)
{
	long sum = 0;
	for (int round = 0; round < 60; round++)
		for (const char *p = text; *p; p++) {
			sum = sum * 31 + *p;
			__asm__ volatile("" : "+r"(sum));
		}
	return sum;
}

// catalog_rank is warm at all times: it computes a checksum of every eighth
// article. A word that ends in a question mark is held against all of them.
__attribute__((noinline)) size_t catalog_rank(const char *word, char *out)
{
	bool fuzzy = word[0] && word[strlen(word) - 1] == '?';
	int best = 0, least = 1 << 30;
	long sum = 0;
	for (int i = 0; i < ARTICLES; i += 8)
		sum += checksum(articles[i].name);
	for (int round = 0; fuzzy && round < 400; round++)
		for (int i = 0; i < ARTICLES; i++) {
			int d = distance(word + round % 2, articles[i].name);
			if (d < least) {
				least = d;
				best = i;
			}
		}
	return snprintf(out, REPLY, "OK %s %ld\n", articles[best].name, sum);
}

// The five levels below an order's price; each decides something.
__attribute__((noinline)) static long round_cents(long v, int step)
{
	for (int i = 0; i < 40; i++) {
		v = (v * 1103515245 + step) % 100003;
		__asm__ volatile("" : "+r"(v));
	}
	return v;
}

__attribute__((noinline)) static long add_tax(long v, int step) { return round_cents(v + v / 5, step) + step % 3; }
__attribute__((noinline)) static long add_freight(long v, int step) { return add_tax(v + (v > 5000 ? 0 : 490), step) + 1; }
__attribute__((noinline)) static long discount(long v, int step) { return add_freight(step > 10 ? v - v / 20 : v, step) + 1; }
__attribute__((noinline)) static long price_of(int article, int step) { return discount(articles[article].price, step) + 1; }

__attribute__((noinline)) long quote_order(int article, int count)
{
	return price_of((unsigned)article % ARTICLES, count) * count;
}

// reprice_all prices every article for every step up to a number of steps.
__attribute__((noinline)) long reprice_all(int steps)
{
	long total = 0;
	for (int step = 0; step < steps; step++)
		for (int i = 0; i < ARTICLES; i++)
			total += price_of(i, step);
	return total;
}
