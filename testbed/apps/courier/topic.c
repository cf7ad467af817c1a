#include "courier.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

static struct topic *buckets[BUCKETS];
static uint64_t last_id;
static struct timer retention;

static uint32_t hash_name(const char *s)
{
	uint32_t h = 2166136261u;
	while (*s)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h;
}

struct topic *topic_find(const char *name, bool create)
{
	uint32_t h = hash_name(name);
	struct topic **at = &buckets[h % BUCKETS];
	for (struct topic *t = *at; t; t = t->next_in_bucket)
		if (t->hash == h && strcmp(t->name, name) == 0)
			return t;
	if (!create)
		return NULL;
	struct topic *t = calloc(1, sizeof *t);
	if (!t)
		abort();
	t->name = strdup(name);
	t->hash = h;
	t->next_in_bucket = *at;
	*at = t;
	return t;
}

void topics_each(void (*visit)(struct topic *t, void *arg), void *arg)
{
	for (int i = 0; i < BUCKETS; i++)
		for (struct topic *t = buckets[i]; t; t = t->next_in_bucket)
			visit(t, arg);
}

// topic_matches knows * for a word and > for the rest.
bool topic_matches(const char *pattern, const char *name)
{
	while (*pattern) {
		if (*pattern == '>')
			return *name != 0;
		if (*pattern == '*') {
			size_t n = strcspn(name, ".");
			if (n == 0)
				return false;
			name += n;
			pattern++;
			continue;
		}
		if (*pattern++ != *name++)
			return false;
	}
	return *name == 0;
}

static struct message *message_new(struct topic *t, const struct frame *f)
{
	struct message *m = malloc(sizeof *m + f->block_len + f->body_len);
	if (!m)
		abort();
	*m = (struct message){
		.refs = 1, .id = ++last_id, .when = loop_now(), .topic = t,
		.block_len = f->block_len, .body_len = f->body_len,
	};
	if (f->block_len)
		memcpy(m->data, f->block, f->block_len);
	if (f->body_len)
		memcpy(m->data + f->block_len, f->body, f->body_len);
	return m;
}

void message_unref(struct message *m)
{
	if (--m->refs == 0)
		free(m);
}

void message_write(struct buf *out, const struct message *m)
{
	buf_printf(out, "MSG %s %llu %u %u\n", m->topic->name, (unsigned long long)m->id, m->block_len, m->body_len);
	buf_add(out, m->data, m->block_len + m->body_len);
}

struct message *topic_take(struct topic *t)
{
	struct message *m = t->first;
	if (!m)
		return NULL;
	t->first = m->next;
	if (!t->first)
		t->last = NULL;
	m->next = NULL;
	t->queued--;
	return m;
}

static void retain(struct topic *t, struct message *m)
{
	if (t->retained)
		message_unref(t->retained);
	m->refs++;
	t->retained = m;
}

struct message *topic_publish(struct topic *t, const struct frame *f)
{
	struct message *m = message_new(t, f);
	if (t->last)
		t->last->next = m;
	else
		t->first = m;
	t->last = m;
	t->queued++;
	t->published++;
	t->bytes += m->body_len;
	stats.published++;
	retain(t, m);
	while (t->queued > config.topic_limit) {
		message_unref(topic_take(t));
		t->dropped++;
	}
	return m;
}

static void expire_topic(struct topic *t, void *arg)
{
	uint64_t oldest = *(uint64_t *)arg;
	while (t->first && t->first->when < oldest) {
		message_unref(topic_take(t));
		t->expired++;
		stats.expired++;
	}
}

static void expire_messages(struct timer *timer)
{
	uint64_t keep = (uint64_t)config.retention * 1000;
	uint64_t oldest = loop_now() > keep ? loop_now() - keep : 0;
	topics_each(expire_topic, &oldest);
	timer_set(timer, loop_now() + 500);
}

void topics_init(void)
{
	retention.fire = expire_messages;
	timer_set(&retention, loop_now() + 500);
}
