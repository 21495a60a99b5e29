/* SPDX-License-Identifier: BSD-2-Clause */
/* A frame: whatever it holds, nothing outside it is read, and what is said of it is consistent. */
#include <stdint.h>
#include <stdlib.h>

#include <levee/shared.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct levee_scope scope = { .enabled = 1, .part = { 1 << LEVEE_PROTO_TCP } };
	struct levee_packet pkt;
	int ret = levee_packet_source(&pkt, data, data + size);

	if (ret < 0 ? ret <= -LEVEE_UNPARSED_MAX : ret > 0)
		abort();
	if (ret < 0)
		return 0;
	levee_packet_flow(&pkt, data, data + size);
	if ((pkt.family != 4 && pkt.family != 6) || pkt.l3 + LEVEE_IPV4_LEN > size)
		abort();
	if (pkt.family == 4 && (pkt.lo || pkt.hi > UINT32_MAX))
		abort();
	if ((pkt.flags & LEVEE_PKT_PORT) && !(pkt.flags & LEVEE_PKT_PROTO))
		abort();
	if (!(pkt.flags & LEVEE_PKT_PORT) && (pkt.dst_port || pkt.tcp_flags))
		abort();
	if (levee_scope_has(&scope, &pkt) == 1 && pkt.proto != LEVEE_PROTO_TCP)
		abort();
	return 0;
}
