/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The XDP program under test. Its maps are those of a data path that the harness opened. */
#include "ebpf/handle.bpf.h"
#include "tools/bench/generator.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* `frags` is one of enum bench_length, which decides between the daemon's programs, too. */
static __always_inline int handle_packet(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;

	if (FRAGS == BENCH_LENGTH_SEEN)
		return handle(ctx, data, data_end, length_seen(ctx, data, data_end));
	return handle(ctx, data, data_end, length_of(ctx, data, data_end));
}

SEC("xdp.frags")
int bench_levee(struct xdp_md *ctx)
{
	return write_source(ctx) ? XDP_ABORTED : handle_packet(ctx);
}

/* The same without a generator: levee_xdp, in other words. */
SEC("xdp.frags")
int bench_plain(struct xdp_md *ctx)
{
	return handle_packet(ctx);
}

/* Notes when this CPU's log passes its half, which is when handle() raises an event. */
SEC("xdp.frags")
int bench_pressure(struct xdp_md *ctx)
{
	struct levee_where w;
	int ret;

	if (find_row(&w) || write_source(ctx))
		return XDP_ABORTED;
	ret = handle_packet(ctx);
	if (!bench.event_ns && w.row->log4 > GEO(log4) / 2)
		bench.event_ns = bpf_ktime_get_boot_ns();
	return ret;
}
