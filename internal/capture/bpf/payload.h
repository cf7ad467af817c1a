/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The trace context of requests (https://www.w3.org/TR/trace-context/): the only
 * thing ever read of what a target receives, by a program that is loaded only
 * when it was asked for. Of what a thread received from a socket, and that begins
 * like an HTTP/1 request, it looks at the first PAYLOAD_BYTES for the header
 * traceparent, and passes on its two ids. The copy is zeroed at once: no other
 * byte of it leaves the kernel.
 */
#ifndef PERFSCOPE_PAYLOAD_H
#define PERFSCOPE_PAYLOAD_H

/* A request of one service to another has a few hundred bytes of headers. A
 * power of two, for the masks. */
#define PAYLOAD_BYTES 1024
/* version, trace id, parent id and flags, with the dashes between them */
#define TRACEPARENT 55
/* "GET / HTTP/1.1\r\n" "traceparent:" and the value */
#define LEAST_PAYLOAD (16 + 12 + TRACEPARENT)
/* How many blanks may be before the value; one is usual. */
#define MOST_BLANKS 4

#if defined(__TARGET_ARCH_x86)
#define NR_READ 0
#define NR_READV 19
#define NR_RECVFROM 45
#define NR_RECVMSG 47
#define REG_ARG0(r) ((r)->di)
#define REG_ARG1(r) ((r)->si)
#else
#define NR_READ 63
#define NR_READV 65
#define NR_RECVFROM 207
#define NR_RECVMSG 212
#define REG_ARG0(r) ((r)->orig_x0)
#define REG_ARG1(r) ((r)->regs[1])
#endif

#define FILE_TYPE 0170000
#define FILE_SOCKET 0140000

/* What user space is told. */
struct trace_context {
	u32 tgid;
	u32 tid;
	u64 time; /* when the thread had received it */
	u8 trace_id[16];
	u8 parent_id[8];
};

struct payload {
	struct trace_context context;
	u32 value; /* where it begins, zero is nowhere */
	/* The room behind is for reading on without a check at each byte. */
	u8 bytes[PAYLOAD_BYTES + MOST_BLANKS + TRACEPARENT + 1];
};

struct context_counts {
	u64 taken;
	u64 lost; /* the ring was full */
};

ARRAY(payloads, struct payload, 1, 0); /* per CPU */
ARRAY(context_counts, struct context_counts, 1, BPF_F_MMAPABLE); /* per CPU */
RINGBUF(contexts, 262144);

static __always_inline bool is_socket(u32 fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct *files = 0;
	struct fdtable *table = 0;
	struct file **open = 0, *file = 0;
	struct inode *inode = 0;
	u32 size = 0;
	u16 mode = 0;

	if (bpf_probe_read_kernel(&files, sizeof(files), &task->files) ||
	    bpf_probe_read_kernel(&table, sizeof(table), &files->fdt) ||
	    bpf_probe_read_kernel(&size, sizeof(size), &table->max_fds) || fd >= size ||
	    bpf_probe_read_kernel(&open, sizeof(open), &table->fd) ||
	    bpf_probe_read_kernel(&file, sizeof(file), open + fd) ||
	    bpf_probe_read_kernel(&inode, sizeof(inode), &file->f_inode) ||
	    bpf_probe_read_kernel(&mode, sizeof(mode), &inode->i_mode))
		return false;
	return (mode & FILE_TYPE) == FILE_SOCKET;
}

struct buffer {
	u64 base;
	u64 len;
};

/* Where a call of this number has put what it received: the first of its
 * buffers. */
static __always_inline bool buffer_of(u32 nr, u64 fd, u64 at, u64 ret, struct buffer *b)
{
	switch (nr) {
	case NR_READ:
		if (!is_socket((u32)fd))
			return false;
		break;
	case NR_RECVFROM:
		break;
	case NR_RECVMSG: /* struct user_msghdr: the buffers come after name and its length */
		if (bpf_probe_read_user(&at, sizeof(at), (const void *)(at + 16)))
			return false;
		return !bpf_probe_read_user(b, sizeof(*b), (const void *)at);
	case NR_READV:
		if (!is_socket((u32)fd))
			return false;
		return !bpf_probe_read_user(b, sizeof(*b), (const void *)at);
	default:
		return false;
	}
	b->base = at;
	b->len = ret;
	return true;
}

static __always_inline bool upper(u8 c)
{
	return c >= 'A' && c <= 'Z';
}

/* Three capitals begin the methods of HTTP; "HTTP" itself begins an answer. */
static __always_inline bool begins_request(const u8 *b)
{
	return upper(b[0]) && upper(b[1]) && upper(b[2]) && !(b[0] == 'H' && b[1] == 'T' && b[2] == 'T');
}

#define LAST_EIGHT 0x65706172656e743aULL /* "eparent:" */
#define FOUR_BEFORE 0x74726163u		 /* "trac" */
#define NAME 12				 /* and its colon */

/*
 * Finds where the header's value begins. The name may be in capitals.
 *
 * The functions that are not static are verified once each, whatever calls
 * them; and every branch of this loop leaves it, or the verifier would have to
 * follow all combinations of them.
 */
__noinline int find_value(u32 cpu, u32 len)
{
	struct payload *p = bpf_map_lookup_elem(&payloads, &cpu);
	u64 last = 0;
	u32 before = 0, raw = 0;

	if (!p)
		return 0;
	p->value = 0;
	for (u32 i = NAME; i < PAYLOAD_BYTES; i++) {
		u8 c = p->bytes[i];
		u64 other;

		if (i >= len)
			break;
		raw = raw << 8 | c;
		before = before << 8 | last >> 56;
		last = last << 8 | c | 0x20;
		/* An empty line ends the headers. */
		if ((raw & 0xffff) == 0x0a0a)
			break;
		if ((raw & 0xffffff) == 0x0a0d0a)
			break;
		other = (last ^ LAST_EIGHT) | (before ^ FOUR_BEFORE) | (c ^ ':') | (p->bytes[i - NAME] ^ '\n');
		if (!other) {
			p->value = i + 1;
			break;
		}
	}
	return 0;
}

/* The value of a lower-case hexadecimal digit, without branches; what is none
 * leaves a bit in bad. */
static __always_inline u32 digit(u8 c, u32 *bad)
{
	u32 v = (c & 15) + 9 * (c >> 6 & 1);

	*bad |= (c ^ (v + '0' + 39 * ((v + 6) >> 4 & 1))) | v >> 4;
	return v;
}

static __always_inline u8 byte_of(const u8 *text, u32 *bad)
{
	u32 high = digit(text[0], bad);

	return high << 4 | digit(text[1], bad);
}

/* Reads the value: 00-<trace id>-<parent id>-<flags>; later versions may go on.
 * What comes after it has to be there, too. */
__noinline int parse_value(u32 cpu, u32 len)
{
	struct payload *p = bpf_map_lookup_elem(&payloads, &cpu);
	u32 bad = 0, some = 0, other = 0, version, at;
	const u8 *v;
	u8 end;

	if (!p)
		return 0;
	at = p->value;
	for (int i = 0; i < MOST_BLANKS; i++) {
		asm volatile("%0 &= 0x3ff" : "+r"(at));
		if (p->bytes[at] != ' ' && p->bytes[at] != '\t')
			break;
		at++;
	}
	if (at + TRACEPARENT >= len)
		return 0;
	asm volatile("%0 &= 0x3ff" : "+r"(at));
	v = p->bytes + at;
	version = byte_of(v, &bad);
	byte_of(v + 53, &bad);
	bad |= (v[2] ^ '-') | (v[35] ^ '-') | (v[52] ^ '-');
#pragma unroll
	for (int i = 0; i < 16; i++) {
		u8 b = byte_of(v + 3 + 2 * i, &bad);

		p->context.trace_id[i] = b;
		some |= b;
	}
#pragma unroll
	for (int i = 0; i < 8; i++) {
		u8 b = byte_of(v + 36 + 2 * i, &bad);

		p->context.parent_id[i] = b;
		other |= b;
	}
	end = v[TRACEPARENT];
	if (bad || !some || !other || version == 0xff)
		return 0;
	return end == '\r' || end == '\n' || end == ' ' || end == '\t' || (version && end == '-');
}

/* Reads the trace context of what a call has received; one when there is any. */
__noinline int read_context(u32 cpu, u32 nr, u64 fd, u64 at, u64 ret)
{
	struct payload *p = bpf_map_lookup_elem(&payloads, &cpu);
	struct buffer b = {};
	u8 first[8] = {};
	int found = 0;
	u32 len;

	if (!p || !buffer_of(nr, fd, at, ret, &b) || b.len < LEAST_PAYLOAD ||
	    bpf_probe_read_user(first, sizeof(first), (const void *)b.base) || !begins_request(first))
		return 0;
	if (b.len > ret)
		b.len = ret;
	len = b.len < PAYLOAD_BYTES ? (u32)b.len : PAYLOAD_BYTES;
	asm volatile("%0 &= 0x7ff" : "+r"(len));
	if (len > PAYLOAD_BYTES || bpf_probe_read_user(p->bytes, len, (const void *)b.base))
		return 0;
	find_value(cpu, len);
	if (p->value)
		found = parse_value(cpu, len);
	__builtin_memset(p->bytes, 0, PAYLOAD_BYTES);
	return found;
}

/* Looks for a trace context in what a call of a target received. */
static __always_inline void take_context(u32 cpu, struct slot *s, struct pt_regs *regs, u64 now, s64 ret)
{
	struct context_counts *c;
	struct payload *p;
	u32 nr = s->nr;

	if (ret < LEAST_PAYLOAD || (nr != NR_READ && nr != NR_READV && nr != NR_RECVFROM && nr != NR_RECVMSG))
		return;
	if (read_context(cpu, nr, REG_ARG0(regs), REG_ARG1(regs), ret) != 1)
		return;
	p = bpf_map_lookup_elem(&payloads, &cpu);
	c = bpf_map_lookup_elem(&context_counts, &cpu);
	if (!p || !c)
		return;
	p->context.tgid = s->tgid;
	p->context.tid = s->tid;
	p->context.time = now;
	if (bpf_ringbuf_output(&contexts, &p->context, sizeof(p->context), BPF_RB_NO_WAKEUP))
		count(c->lost);
	else
		count(c->taken);
}

#endif
