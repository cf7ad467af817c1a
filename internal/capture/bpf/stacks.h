/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Registers and stack bytes. */
#ifndef PERFSCOPE_STACKS_H
#define PERFSCOPE_STACKS_H

#if defined(__TARGET_ARCH_x86)
#define REG_IP(r) ((r)->ip)
#define REG_SP(r) ((r)->sp)
#define REG_BP(r) ((r)->bp)
#define REG_LR(r) 0
#define REG_NR(r) ((s32)(r)->orig_ax)
#else
#define REG_IP(r) ((r)->pc)
#define REG_SP(r) ((r)->sp)
#define REG_BP(r) ((r)->regs[29])
#define REG_LR(r) ((r)->regs[30])
#define REG_NR(r) ((r)->syscallno)
#endif

#define NO_CALL (-1)
/* Of stacks that the hooks take for a waking. */
#define STACK_WAKING 0

static __always_inline void put_header(struct scratch *sc, u32 type, u32 tgid, u32 tid, u64 time)
{
	struct stack_event *h = &sc->h;

	h->type = type;
	h->id = 0;
	h->tgid = tgid;
	h->tid = tid;
	h->time = time;
	h->ip = h->sp = h->bp = h->lr = 0;
	h->nr = NO_CALL;
	h->len = 0;
	h->pages = 0;
	sc->gap = 0;
}

static __always_inline void put_regs(struct stack_event *h, struct pt_regs *regs)
{
	h->ip = REG_IP(regs);
	h->sp = REG_SP(regs);
	h->bp = REG_BP(regs);
	h->lr = REG_LR(regs);
}

/* An id is never zero and never shared: by CPU, kind and the CPU's count. */
static __always_inline u32 stack_id(u64 seq, u32 cpu, u32 kind)
{
	return ((u32)seq * ring_cpus + cpu) * 4 + kind;
}

/*
 * Copies from sp upward, page by page, as one copy is all or nothing, and leaves
 * out the pages that hold nothing: those a thread has never touched, as in the
 * middle of a large buffer, beyond which its callers are. Of another task they
 * read as zeros, and so do those of this one once another has been read there.
 *
 * What changes from page to page is kept in memory, where verifiers do not follow
 * it: else they would look at every order of pages there and not there. The masks
 * restate bounds that hold anyway.
 */
#define MAX_PAGES 64 /* looked at: the bits of pages */
#define MAX_GAP 16   /* in a row that hold nothing */
#define COPY_PAGES(sc, from, end, read, is_zero)                                       \
	_Pragma("clang loop unroll(disable)") for (u32 page = 0; page < MAX_PAGES; page++) { \
		u64 addr = page ? (from & -(u64)PAGE) + page * PAGE : from;            \
		u32 n = PAGE - (addr & (PAGE - 1));                                    \
		u32 at = *(volatile u32 *)&sc->h.len;                                  \
		if (at >= stack_bytes)                                                 \
			break;                                                         \
		if (n > stack_bytes - at)                                              \
			n = stack_bytes - at;                                          \
		asm volatile("%0 &= 0x7fff" : "+r"(at));                               \
		asm volatile("%0 &= 0x1fff" : "+r"(n));                                \
		if (n > PAGE)                                                          \
			break;                                                         \
		if (read(sc->bytes + at, n, (const void *)addr) ||                     \
		    (page && n == PAGE && is_zero(at))) {                              \
			/* Beyond the end of the stack there is nothing to come. */    \
			if (!page || addr >= end || *(volatile u32 *)&sc->gap >= MAX_GAP) \
				break;                                                 \
			*(volatile u32 *)&sc->gap += 1;                                \
			continue;                                                      \
		}                                                                      \
		*(volatile u32 *)&sc->gap = 0;                                         \
		*(volatile u64 *)&sc->h.pages |= 1ULL << page;                         \
		*(volatile u32 *)&sc->h.len = at + n;                                  \
	}

static __always_inline int zero_page(const struct scratch *sc, u32 at)
{
	asm volatile("%0 &= 0x7fff" : "+r"(at));
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < PAGE; i += 64) {
		const u64 *w = (const u64 *)(sc->bytes + at + i);

		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			return 0;
	}
	return 1;
}

/* Not static: verified once each, whatever calls them. */
__noinline int is_zero_page(u32 key, u32 at)
{
	struct scratch *sc = bpf_map_lookup_elem(&scratches, &key);

	return sc ? zero_page(sc, at) : 0;
}

__noinline int is_zero_page_of_other(u32 at)
{
	u32 zero = 0;
	struct scratch *sc = bpf_map_lookup_elem(&snapshot_scratch, &zero);

	return sc ? zero_page(sc, at) : 0;
}

/*
 * From where on a thread with this stack pointer has no frames: the first
 * thread's begin where the kernel put its arguments, those of others below the
 * block that its thread pointer leads to. The highest address when that is not
 * known. It may be wrong of a stack the program made itself, so what can be read
 * is copied in any case.
 */
static __always_inline u64 stack_end(struct task_struct *task, u64 sp)
{
	struct mm_struct *mm = task->mm;
#if defined(__TARGET_ARCH_x86)
	u64 block = task->thread.fsbase;
#else
	u64 block = task->thread.uw.tp_value;
#endif

	if (mm && sp < mm->start_stack && mm->start_stack - sp < MAX_PAGES * PAGE)
		return mm->start_stack;
	return sp < block ? block : ~0ULL;
}

/* Copies the running thread's stack to where key says; how many bytes. Not static
 * either: a caller comes here on many paths. */
__noinline int copy_current(u32 key, u64 sp)
{
	struct scratch *sc = bpf_map_lookup_elem(&scratches, &key);
	u64 end = ~0ULL;

	if (!sc)
		return 0;
	if (helper_exists(BPF_FUNC_get_current_task_btf))
		end = stack_end(bpf_get_current_task_btf(), sp);
#define READ(d, n, s) bpf_probe_read_user(d, n, s)
#define IS_ZERO(at) is_zero_page(key, at)
	COPY_PAGES(sc, sp, end, READ, IS_ZERO)
#undef READ
#undef IS_ZERO
	return sc->h.len;
}

static __always_inline u32 copy_other(struct scratch *sc, u64 sp, struct task_struct *task)
{
	u64 end = stack_end(task, sp);

#define READ(d, n, s) bpf_copy_from_user_task(d, n, s, task, 0)
	COPY_PAGES(sc, sp, end, READ, is_zero_page_of_other)
#undef READ
	return sc->h.len;
}

static __always_inline long send_stack(struct scratch *sc, u32 len, u64 wakeup)
{
	asm volatile("%0 &= 0xffff" : "+r"(len));
	if (len > MAX_STACK)
		len = MAX_STACK;
	return bpf_ringbuf_output(&stacks, sc, sizeof(sc->h) + len, wakeup);
}

#endif
