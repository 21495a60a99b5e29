/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of packets: frames, good and hostile, and what the classifier has to see in each. The
 * unit test runs them through include/levee/packet.h, the kernel test through the XDP program.
 */
#ifndef LEVEE_TESTS_FRAME_CASES_H
#define LEVEE_TESTS_FRAME_CASES_H

#include "tests/support/frame.h"

struct levee_frame_case {
	const char *says; /* one line of English */
	struct levee_frame_spec spec;
	int result; /* of levee_packet_source(): 0, or enum levee_unparsed */

	/* if it is 0, what levee_packet_flow() finds; the source is spec's hi and lo */
	uint8_t flags; /* LEVEE_PKT_* */
	uint8_t proto; /* 0 without LEVEE_PKT_PROTO */
	uint16_t port; /* 0 without LEVEE_PKT_PORT */
	uint8_t tcp_flags;
};

extern const struct levee_frame_case levee_frame_cases[];
extern const size_t levee_frame_cases_n;

#endif
