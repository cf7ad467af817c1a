// Subscriptions: messages are pushed, up to a window of them unacknowledged.
// What is not acknowledged within its lease goes to someone else.
#include "courier.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ATTEMPTS = 3 };

struct lease {
	struct timer timer; // first: timers are turned into leases
	struct lease *next, *prev;
	struct subscription *sub;
	struct message *message;
};

struct subscription {
	struct subscription *next_of_topic, *next_of_client;
	struct topic *topic;
	struct client *client;
	int window, unacked;
	char *filter_name, *filter_value;
	struct lease *leases;
	uint64_t delivered;
};

static bool block_has(const struct message *m, const char *name, const char *value)
{
	const char *p = m->data, *end = m->data + m->block_len;
	size_t nlen = strlen(name), vlen = strlen(value);
	while (p < end) {
		const char *eol = memchr(p, '\n', end - p);
		if (!eol)
			eol = end;
		if ((size_t)(eol - p) > nlen + 1 && strncasecmp(p, name, nlen) == 0 && p[nlen] == ':') {
			const char *v = p + nlen + 1;
			while (v < eol && *v == ' ')
				v++;
			return (size_t)(eol - v) >= vlen && strncmp(v, value, vlen) == 0;
		}
		p = eol + 1;
	}
	return false;
}

static bool wants(const struct subscription *s, const struct message *m)
{
	if (s->client->closing || s->unacked >= s->window)
		return false;
	return !s->filter_name || block_has(m, s->filter_name, s->filter_value);
}

static struct subscription *choose(struct topic *t, const struct message *m)
{
	struct subscription *best = NULL;
	for (struct subscription *s = t->subscriptions; s; s = s->next_of_topic)
		if (wants(s, m) && (!best || s->delivered < best->delivered))
			best = s;
	return best;
}

static void lease_end(struct lease *l)
{
	timer_cancel(&l->timer);
	if (l->prev)
		l->prev->next = l->next;
	else
		l->sub->leases = l->next;
	if (l->next)
		l->next->prev = l->prev;
	l->sub->unacked--;
	message_unref(l->message);
	free(l);
}

static void put_back(struct topic *t, struct message *m)
{
	m->next = t->first;
	t->first = m;
	if (!t->last)
		t->last = m;
	t->queued++;
}

// lease_expired takes a message back from a subscriber that did not
// acknowledge it. One whose copy is still in our own output can't have seen
// it: its lease goes on.
static void lease_expired(struct timer *timer)
{
	struct lease *l = (struct lease *)timer;
	struct message *m = l->message;
	if (client_behind(l->sub->client)) {
		timer_set(&l->timer, l->timer.due);
		return;
	}
	struct topic *t = m->topic;
	if (++m->attempts < MAX_ATTEMPTS) {
		m->refs++;
		put_back(t, m);
		stats.redelivered++;
	}
	log_line(LOG_DEBUG, "lease of %llu expired", (unsigned long long)m->id);
	lease_end(l);
	topic_deliver(t);
}

static void lease_start(struct subscription *s, struct message *m)
{
	struct lease *l = calloc(1, sizeof *l);
	if (!l)
		abort();
	l->sub = s;
	l->message = m; // the topic's reference
	l->next = s->leases;
	if (l->next)
		l->next->prev = l;
	s->leases = l;
	s->unacked++;
	l->timer.fire = lease_expired;
	timer_set(&l->timer, loop_now() + config.lease);
}

static void deliver(struct subscription *s, struct message *m)
{
	message_write(&s->client->out, m);
	client_flush_later(s->client);
	s->delivered++;
	s->topic->delivered++;
	stats.delivered++;
	lease_start(s, m);
}

// topic_deliver hands out what is queued as long as somebody wants it.
void topic_deliver(struct topic *t)
{
	while (t->subscriptions && t->first) {
		struct subscription *s = choose(t, t->first);
		if (!s)
			return;
		deliver(s, topic_take(t));
	}
}

bool subscribe(struct client *c, struct topic *t, int window, const struct header *filter)
{
	struct subscription *s = calloc(1, sizeof *s);
	if (!s)
		abort();
	s->topic = t;
	s->client = c;
	s->window = window;
	if (filter) {
		const char *equals = memchr(filter->value, '=', filter->value_len);
		if (!equals) {
			free(s);
			return false;
		}
		s->filter_name = strndup(filter->value, equals - filter->value);
		s->filter_value = strndup(equals + 1, filter->value + filter->value_len - equals - 1);
	}
	s->next_of_topic = t->subscriptions;
	t->subscriptions = s;
	s->next_of_client = c->subscriptions;
	c->subscriptions = s;
	return true;
}

bool acknowledge(struct client *c, uint64_t id)
{
	for (struct subscription *s = c->subscriptions; s; s = s->next_of_client)
		for (struct lease *l = s->leases; l; l = l->next)
			if (l->message->id == id) {
				lease_end(l);
				stats.acked++;
				topic_deliver(s->topic);
				return true;
			}
	return false;
}

static void detach(struct subscription *s)
{
	struct subscription **at = &s->topic->subscriptions;
	while (*at != s)
		at = &(*at)->next_of_topic;
	*at = s->next_of_topic;
}

void unsubscribe_all(struct client *c)
{
	while (c->subscriptions) {
		struct subscription *s = c->subscriptions;
		struct topic *t = s->topic;
		c->subscriptions = s->next_of_client;
		detach(s);
		while (s->leases) {
			struct message *m = s->leases->message;
			m->refs++;
			lease_end(s->leases);
			put_back(t, m);
		}
		free(s->filter_name);
		free(s->filter_value);
		free(s);
		topic_deliver(t);
	}
}
