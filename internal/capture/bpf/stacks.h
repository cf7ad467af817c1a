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

static __always_inline void put_header(struct stack_event *h, u32 type, u32 tgid, u32 tid, u64 time)
{
	h->type = type;
	h->id = 0;
	h->tgid = tgid;
	h->tid = tid;
	h->time = time;
	h->ip = h->sp = h->bp = h->lr = 0;
	h->nr = NO_CALL;
	h->len = 0;
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
 * Copies from sp upward, page by page, as one copy is all or nothing. The
 * masks restate bounds that hold anyway, for verifiers that lose them.
 */
#define COPY_PAGES(dst, from, off, read)                                      \
	for (int page = 0; page < MAX_STACK / PAGE + 1; page++) {            \
		u32 n = PAGE - ((from + off) & (PAGE - 1));                   \
		u32 at = off;                                                 \
		if (off >= stack_bytes)                                       \
			break;                                                \
		if (n > stack_bytes - off)                                    \
			n = stack_bytes - off;                                \
		asm volatile("%0 &= 0x7fff" : "+r"(at));                      \
		asm volatile("%0 &= 0x1fff" : "+r"(n));                       \
		if (n > PAGE)                                                 \
			break;                                                \
		if (read(dst + at, n, (const void *)(from + off)))            \
			break;                                                \
		off += n;                                                     \
	}

static __always_inline u32 copy_current(u8 *dst, u64 sp)
{
	u32 off = 0;

#define READ(d, n, s) bpf_probe_read_user(d, n, s)
	COPY_PAGES(dst, sp, off, READ)
#undef READ
	return off;
}

static __always_inline u32 copy_other(u8 *dst, u64 sp, struct task_struct *task)
{
	u32 off = 0;

#define READ(d, n, s) bpf_copy_from_user_task(d, n, s, task, 0)
	COPY_PAGES(dst, sp, off, READ)
#undef READ
	return off;
}

static __always_inline long send_stack(struct scratch *sc, u32 len)
{
	asm volatile("%0 &= 0xffff" : "+r"(len));
	if (len > MAX_STACK)
		len = MAX_STACK;
	sc->h.len = len;
	return bpf_ringbuf_output(&stacks, sc, sizeof(sc->h) + len, BPF_RB_NO_WAKEUP);
}

#endif
