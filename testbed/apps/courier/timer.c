#include "courier.h"

#include <stdlib.h>

static struct timer **heap;
static size_t count, capacity;
static struct timer **firing; // out of the heap, not fired yet
static size_t nfiring, room;

static void place(struct timer *t, size_t i)
{
	heap[i] = t;
	t->slot = i + 1;
}

static void sift_up(struct timer *t, size_t i)
{
	while (i > 0) {
		size_t parent = (i - 1) / 2;
		if (heap[parent]->due <= t->due)
			break;
		place(heap[parent], i);
		i = parent;
	}
	place(t, i);
}

static void sift_down(struct timer *t, size_t i)
{
	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= count)
			break;
		if (child + 1 < count && heap[child + 1]->due < heap[child]->due)
			child++;
		if (heap[child]->due >= t->due)
			break;
		place(heap[child], i);
		i = child;
	}
	place(t, i);
}

void timer_cancel(struct timer *t)
{
	if (t->firing) {
		firing[t->firing - 1] = NULL;
		t->firing = 0;
	}
	if (!t->slot)
		return;
	size_t i = t->slot - 1;
	t->slot = 0;
	struct timer *last = heap[--count];
	if (last == t)
		return;
	if (i > 0 && heap[(i - 1) / 2]->due > last->due)
		sift_up(last, i);
	else
		sift_down(last, i);
}

void timer_set(struct timer *t, uint64_t due)
{
	timer_cancel(t);
	if (count == capacity) {
		capacity = capacity ? 2 * capacity : 64;
		heap = realloc(heap, capacity * sizeof *heap);
		if (!heap)
			abort();
	}
	t->due = due;
	sift_up(t, count++);
}

// timers_run fires what is due. A timer that is set again while others fire
// has to wait for the next turn, so that clients are not kept waiting.
void timers_run(uint64_t now)
{
	while (count > 0 && heap[0]->due <= now) {
		struct timer *t = heap[0];
		timer_cancel(t);
		if (nfiring == room) {
			room = room ? 2 * room : 64;
			firing = realloc(firing, room * sizeof *firing);
			if (!firing)
				abort();
		}
		firing[nfiring++] = t;
		t->firing = nfiring;
	}
	for (size_t i = 0; i < nfiring; i++) {
		struct timer *t = firing[i];
		if (!t)
			continue; // cancelled by one before it
		t->firing = 0;
		t->fire(t);
	}
	nfiring = 0;
}

int timers_wait(uint64_t now)
{
	if (count == 0)
		return -1;
	if (heap[0]->due <= now)
		return 0;
	uint64_t wait = heap[0]->due - now;
	return wait > 60000 ? 60000 : (int)wait;
}

size_t timers_count(void) { return count; }
