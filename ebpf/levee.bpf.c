/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The XDP program. One for IPv4 and IPv6; what it does is in handle.bpf.h. It is here twice, and
 * the daemon loads the first one that the kernel takes.
 */
#include "ebpf/handle.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Linux 6.2 and later. */
SEC("xdp.frags")
int levee_xdp(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;

	return handle(ctx, data, data_end, length_seen(ctx, data, data_end));
}

SEC("xdp.frags")
int levee_xdp_any(struct xdp_md *ctx)
{
	const void *data = (const void *)(long)ctx->data;
	const void *data_end = (const void *)(long)ctx->data_end;

	return handle(ctx, data, data_end, length_of(ctx, data, data_end));
}
