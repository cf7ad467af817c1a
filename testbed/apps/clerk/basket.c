#include "clerk.h"

#include <stdatomic.h>

static atomic_int lines = 1, days = 1;

void basket_lines(int n) { atomic_store(&lines, n); }

void history_days(int n) { atomic_store(&days, n); }

// price_basket asks for the rate of each line of a basket by itself: of one line nobody
// notices.
__attribute__((noinline)) long price_basket(int basket)
{
	long sum = 0;
	for (int i = 0, all = atomic_load(&lines); i < all; i++)
		sum += fetch_rate(1000 + (basket + i) % 9000);
	return sum;
}

// show_history asks for all days that there are, of which a page shows ten.
__attribute__((noinline)) long show_history(int currency)
{
	long rate = fetch_history(currency, atomic_load(&days));
	return rate < 0 ? rate : rate + 10;
}
