/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Makes the frames of `levee-pktgen --live`. The kernel's test-run facility hands in frames of
 * its own page pool, over and over; this program writes headers over them and sends them on.
 * One CPU runs it, so what it counts needs no atomics, and the templates are patched in place.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "tools/pktgen/live.h"

/* Constants for the verifier; set before the program is loaded. */
const volatile __u32 to_ifindex = 0;
const volatile __u32 frame_length = 0; /* [bytes] */

/* One more than can be named: a patched field may reach past the last template's headers. */
struct pktgen_template templates[PKTGEN_LIVE_TEMPLATES + 1];
__u8 population_of[PKTGEN_LIVE_TEMPLATES];
struct pktgen_live_population populations[PKTGEN_LIVE_POPULATIONS];
/* Template of frame n is schedule[n mod PKTGEN_LIVE_SCHEDULE]. */
__u8 schedule[PKTGEN_LIVE_SCHEDULE];
__u64 made;
__u64 limit; /* frames to be made at most */

/*
 * Pace, in 1/64 ns. A call of the test-run facility costs tens of milliseconds, so a rate cannot
 * be had by calls: frames that come before their time are dropped, and the facility hands them in
 * again. 0: no pace. Time that was lost is not made up for, so there are no bursts.
 */
__u64 gap;
__u64 due;

/* What is later than this has lost its turn: less than a receiver's ring of 256 in a burst. */
#define SLACK_FRAMES 64
#define SLACK_NS     100000

/* Is it time for a frame? */
static __always_inline int is_time(void)
{
	__u64 now;

	if (made >= limit)
		return 0;
	if (!gap)
		return 1;
	now = bpf_ktime_get_ns() << 6;
	if (now < due)
		return 0;
	if (now - due > SLACK_FRAMES * gap + ((__u64)SLACK_NS << 6))
		due = now;
	due += gap;
	return 1;
}

static __always_inline __u64 take_source(struct pktgen_live_population *p)
{
	__u64 source = p->next;

	p->count++;
	p->next++;
	if (p->sources && p->next >= p->sources)
		p->next = 0;
	return source;
}

SEC("xdp")
int make_frame(struct xdp_md *ctx)
{
	struct pktgen_live_population *p;
	struct pktgen_number address;
	struct pktgen_template *t;
	struct pktgen_fields f;
	__u32 which, mixed;
	__u64 n;
	__u32 copy = frame_length < PKTGEN_HEAD_MAX ? frame_length : PKTGEN_HEAD_MAX;

	if (!is_time())
		return XDP_DROP;
	n = made++;
	which = schedule[n & (PKTGEN_LIVE_SCHEDULE - 1)];
	t = &templates[which];
	p = &populations[population_of[which] & (PKTGEN_LIVE_POPULATIONS - 1)];
	address = pktgen_address(&p->plan, take_source(p));
	/* Knuth's multiplicative hash: neighbours differ in the upper bits, too. */
	mixed = (__u32)n * 2654435761U;
	f = (struct pktgen_fields){
		.hi = address.hi,
		.lo = address.lo,
		.sequence = mixed,
		.id = (__u16)n,
	};
	if (p->random_port)
		f.source_port = (__u16)(mixed >> 16) | 1024;
	pktgen_frame_patch(t, t->head, frame_length, &f);
	if (copy == 0 || bpf_xdp_store_bytes(ctx, 0, t->head, copy) < 0)
		return XDP_ABORTED;
	return (int)bpf_redirect(to_ifindex, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
