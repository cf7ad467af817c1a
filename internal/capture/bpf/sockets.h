/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The sockets of targets in other network namespaces than the collector's, in the
 * words of sock_diag (include/uapi/linux/inet_diag.h, tcp.h), which tells of those in
 * its caller's namespace only. All is read by way of the kernel's types: a locked down
 * kernel allows it, and nothing is held of a target. With pidfd_getfd and getsockopt user
 * space could ask as well, but would have its sockets open meanwhile: who closes one then
 * closes it late, and its peer waits for that.
 */
#ifndef PERFSCOPE_SOCKETS_H
#define PERFSCOPE_SOCKETS_H

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_CLOSE_WAIT 8
#define TCP_LISTEN 10
#define INET_DIAG_INFO 2

/* struct inet_diag_msg */
struct diag_message {
	u8 family;
	u8 state;
	u8 timer;
	u8 retrans;
	u16 source_port; /* of the network's byte order, as is the next */
	u16 destination_port;
	u32 source[4];
	u32 destination[4];
	u32 interface;
	u32 cookie[2];
	u32 expires;
	u32 receive_queue; /* of one that listens: connections in line to be accepted */
	u32 send_queue;
	u32 uid;
	u32 inode;
};

/* struct tcp_info, up to the last of its fields that somebody reads. What has no
 * name here is zero. */
struct tcp_figures {
	u32 until_unacked[6];
	u32 unacked;
	u32 until_sent[4];
	u32 last_data_sent;
	u32 last_ack_sent;
	u32 last_data_received;
	u32 last_ack_received;
	u32 until_retransmits[10];
	u32 total_retransmits;
	u64 until_segments[4];
	u32 segments_out;
	u32 segments_in;
	u32 not_sent_bytes;
	u32 least_round_trip;
	u32 data_segments_in;
	u32 data_segments_out;
	u64 delivery_rate;
	u64 busy_time;
	u64 receiver_limited;
	u64 buffer_limited;
	u32 delivered[2];
	u64 bytes_sent;
	u64 bytes_sent_again;
	u32 duplicates;
	u32 reorder_seen;
};

struct socket_record {
	u32 tgid; /* one process that has it */
	u32 namespace;
	u32 protocol; /* IPPROTO_UDP, or one of TCP */
	struct diag_message message;
	u16 attribute_length; /* with itself and the kind; zero is that there is none */
	u16 attribute;
	struct tcp_figures figures;
};

const volatile u32 own_namespace = 0; /* whose sockets are left out */
const volatile u32 ticks = 1000;      /* of the kernel, per second */
volatile u32 files_left = 0;	      /* to be looked at in this walk; set by user space */

static __always_inline void put_addresses(struct diag_message *m, struct sock_common *c)
{
	m->family = c->skc_family;
	m->source_port = __builtin_bswap16(c->skc_num);
	m->destination_port = c->skc_dport;
	if (m->family == AF_INET) {
		m->source[0] = c->skc_rcv_saddr;
		m->destination[0] = c->skc_daddr;
	} else if (field_exists(c->skc_v6_daddr)) { /* a kernel may have no IPv6 */
#pragma unroll
		for (int i = 0; i < 4; i++) {
			m->source[i] = c->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			m->destination[i] = c->skc_v6_daddr.in6_u.u6_addr32[i];
		}
	}
}

/* What a connection does: it is busy, and of that time kept by the receiver or by its
 * own buffer; zero is nothing. */
static __always_inline u32 chrono_type(struct tcp_sock *tp)
{
	const void *at = (const void *)tp + field_offset(tp->chrono_type);
	u64 value = 0;

	asm volatile("" : "+r"(at));
	switch (field_size(tp->chrono_type)) {
	case 1:
		value = *(const u8 *)at;
		break;
	case 2:
		value = *(const u16 *)at;
		break;
	case 4:
		value = *(const u32 *)at;
		break;
	}
	return (u32)(value << field_left_shift(tp->chrono_type) >> field_right_shift(tp->chrono_type));
}

static __always_inline u32 milliseconds(u32 since, u32 now)
{
	return (u32)((u64)(now - since) * 1000 / ticks);
}

static __always_inline void put_figures(struct tcp_figures *f, struct tcp_sock *tp)
{
	u32 sent = tp->lsndtime, received = tp->inet_conn.icsk_ack.lrcvtime, acked = tp->rcv_tstamp;
	u32 busy = tp->chrono_stat[0], limited = tp->chrono_stat[1], buffer = tp->chrono_stat[2];
	u32 begun = tp->chrono_start, type = chrono_type(tp), now, unsent = tp->write_seq - tp->snd_nxt;
	u64 tick = 1000000 / ticks; /* us, as the kernel reckons */

	f->unacked = tp->packets_out;
	f->total_retransmits = tp->total_retrans;
	f->segments_out = tp->segs_out;
	f->segments_in = tp->segs_in;
	f->not_sent_bytes = (s32)unsent > 0 ? unsent : 0;
	f->data_segments_in = tp->data_segs_in;
	f->data_segments_out = tp->data_segs_out;
	f->duplicates = tp->dsack_dups;
	now = (u32)bpf_jiffies64(); /* after what must not be later */
	f->last_data_sent = milliseconds(sent, now);
	f->last_data_received = milliseconds(received, now);
	f->last_ack_received = milliseconds(acked, now);
	if (type == 1)
		busy += now - begun;
	else if (type == 2)
		limited += now - begun;
	else if (type == 3)
		buffer += now - begun;
	f->receiver_limited = limited * tick;
	f->buffer_limited = buffer * tick;
	f->busy_time = busy * tick + f->receiver_limited + f->buffer_limited;
}

/* Newer kernels do not trust what they were led to by way of a file: it can be read, and
 * handed to no helper. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	if (bpf_rdonly_cast)
		return bpf_rdonly_cast(sk, type_number(struct tcp_sock));
	return bpf_skc_to_tcp_sock(sk);
}

/* The connection that one of multipath TCP began with, which is what sock_diag tells of
 * it; those of others as they are. Listeners of Go are such by default. */
static __always_inline struct sock *first_of(struct sock *sk)
{
	struct mptcp_sock *several = 0;

	if (sk->sk_protocol != IPPROTO_MPTCP || !field_exists(several->first) || !bpf_rdonly_cast)
		return sk;
	several = bpf_rdonly_cast(sk, type_number(struct mptcp_sock));
	return several->first;
}

/* Is it one that sock_diag is asked for? Where the first connection of multipath TCP is
 * not to be had one that listens still says at which address. */
static __always_inline bool is_told(struct sock *sk)
{
	u32 family = sk->__sk_common.skc_family, state = sk->__sk_common.skc_state, protocol = sk->sk_protocol;

	if (family != AF_INET && family != AF_INET6)
		return false;
	if (protocol == IPPROTO_UDP)
		return sk->sk_type == SOCK_DGRAM && state == TCP_ESTABLISHED;
	if (sk->sk_type != SOCK_STREAM)
		return false;
	return (state == TCP_LISTEN && (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)) ||
	       (protocol == IPPROTO_TCP && (state == TCP_ESTABLISHED || state == TCP_SYN_SENT || state == TCP_CLOSE_WAIT));
}

static __noinline int tell_socket(struct bpf_iter__task_file *ctx, struct file *file, struct sock *sk, u32 tgid,
				  u32 namespace)
{
	struct socket_record r = {
		.tgid = tgid, .namespace = namespace, .protocol = sk->sk_protocol,
		.message = {.state = sk->__sk_common.skc_state, .inode = (u32)file->f_inode->i_ino},
	};

	put_addresses(&r.message, &sk->__sk_common);
	if (r.message.state == TCP_LISTEN) {
		r.message.receive_queue = sk->sk_ack_backlog;
		r.message.send_queue = sk->sk_max_ack_backlog;
	} else if (r.protocol == IPPROTO_TCP) {
		struct tcp_sock *tp = tcp_of(sk);

		if (!tp)
			return 0;
		r.attribute_length = sizeof(r.attribute_length) + sizeof(r.attribute) + sizeof(r.figures);
		r.attribute = INET_DIAG_INFO;
		put_figures(&r.figures, tp);
	}
	/* What does not fit is asked for again. */
	bpf_seq_write(ctx->meta->seq, &r, sizeof(r));
	return 0;
}

SEC("iter/task_file")
int tell_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;
	struct sock *sk;
	u32 tgid, namespace;

	if (!task || !file)
		return 0;
	if (!files_left)
		return 1; /* the reader gets EAGAIN */
	files_left--;
	tgid = task->tgid;
	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	sk = first_of(sk);
	if (!sk || !is_told(sk))
		return 0;
	namespace = sk->__sk_common.skc_net.net->ns.inum;
	return namespace == own_namespace ? 0 : tell_socket(ctx, file, sk, tgid, namespace);
}

#endif
