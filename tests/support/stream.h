/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams of packets through the XDP program of a fixture, see tests/kernel/stream.bpf.c.
 *
 *	levee_stream_open(&stream, &fixture);
 *	levee_stream_list(&stream, sources, n);      these in turn
 *	levee_stream_run(&stream, packets, len);
 */
#ifndef LEVEE_TESTS_SUPPORT_STREAM_H
#define LEVEE_TESTS_SUPPORT_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "tests/kernel/stream.h"
#include "tests/support/xdp.h"

struct stream_bpf;

struct levee_stream {
	struct stream_bpf *skel;
	struct stream_source *list; /* memory of the map, STREAM_LIST_MAX of them */
	int fd;
};

/** Fails the test if it cannot be had. The fixture stays open for as long as the stream. */
void levee_stream_open(struct levee_stream *s, const struct levee_xdp_fixture *f);

/** Accepts what was never opened, if it is all zero. */
void levee_stream_close(struct levee_stream *s);

/** Send these from now on, in turn, beginning with the first; at most STREAM_LIST_MAX. */
void levee_stream_list(struct levee_stream *s, const struct stream_source *sources, size_t n);

/**
 * Send sources that never come again: number first, first + 1 ... times STREAM_SCATTER4 or 6, the
 * latter as upper half of the address.
 * \param every  one packet in so many is of the list instead; 0: none
 */
void levee_stream_never(struct levee_stream *s, uint8_t family, uint64_t first, uint64_t every);

/** Number of the never-repeated source that comes next. */
uint64_t levee_stream_next(const struct levee_stream *s);

/** Send so many packets of len bytes, 60 at least. About 20 ms for the call itself. */
void levee_stream_run(struct levee_stream *s, uint32_t packets, size_t len);

#endif
