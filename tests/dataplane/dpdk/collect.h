/* SPDX-License-Identifier: BSD-2-Clause */
/* What drains hand out, gathered: each source once, in order, so that two of them compare. */
#ifndef LEVEE_TESTS_DPDK_COLLECT_H
#define LEVEE_TESTS_DPDK_COLLECT_H

#include <stdlib.h>
#include <string.h>

#include "dataplane/dataplane.h"

struct collected {
	struct collected_source {
		struct levee_prefix source;
		uint64_t packets;
		uint64_t bytes;
	} * at;
	size_t n, room;
	struct levee_account account; /* summed over drains */
};

static int collect_source(void *ctx, const struct levee_prefix *source,
			  const struct levee_counts *counts)
{
	struct collected *c = ctx;

	if (c->n == c->room) {
		c->room = c->room ? 2 * c->room : 1024;
		c->at = reallocarray(c->at, c->room, sizeof(*c->at));
		assert_non_null(c->at);
	}
	c->at[c->n].source = *source;
	c->at[c->n].packets = counts->packets;
	c->at[c->n++].bytes = counts->bytes;
	return 0;
}

static int collect_order(const void *a, const void *b)
{
	return levee_prefix_compare(&((const struct collected_source *)a)->source,
				    &((const struct collected_source *)b)->source);
}

static inline void collect_merge(struct collected *c)
{
	size_t to = 0;

	if (!c->n)
		return;
	qsort(c->at, c->n, sizeof(*c->at), collect_order);
	for (size_t i = 1; i < c->n; i++) {
		if (levee_prefix_compare(&c->at[to].source, &c->at[i].source)) {
			c->at[++to] = c->at[i];
			continue;
		}
		c->at[to].packets += c->at[i].packets;
		c->at[to].bytes += c->at[i].bytes;
	}
	c->n = to + 1;
}

/* Drain once, and release. */
static inline void collect_drain(struct collected *c, struct levee_dataplane *dp, uint64_t bin_ns)
{
	struct levee_sink sink = { .source = collect_source, .ctx = c };
	struct levee_drained drained = { 0 };

	assert_int_equal(levee_dataplane_drain(dp, bin_ns, &sink, &drained), 0);
	levee_dataplane_release(dp);
	levee_account_add(&c->account, &drained.account);
}

static inline uint64_t collect_sum(const struct levee_account *a)
{
	uint64_t sum = 0;

	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		sum += a->outcome[i];
	return sum;
}

/* Same sources, same counts, same account; evictions are the back end's own affair. */
static inline void collect_assert_same(struct collected *a, struct collected *b)
{
	struct levee_account x = a->account, y = b->account;
	char text[LEVEE_PREFIX_TEXT];

	collect_merge(a);
	collect_merge(b);
	for (size_t i = 0; i < a->n && i < b->n; i++) {
		if (!collect_order(&a->at[i], &b->at[i]) && a->at[i].packets == b->at[i].packets &&
		    a->at[i].bytes == b->at[i].bytes)
			continue;
		fail_msg("source %zu: %s %llu packets %llu bytes, the other has %llu and %llu", i,
			 levee_prefix_format(&a->at[i].source, text),
			 (unsigned long long)a->at[i].packets, (unsigned long long)a->at[i].bytes,
			 (unsigned long long)b->at[i].packets, (unsigned long long)b->at[i].bytes);
	}
	assert_int_equal(a->n, b->n);
	x.evicted = y.evicted = 0;
	assert_memory_equal(&x, &y, sizeof(x));
}

static inline void collect_free(struct collected *c)
{
	free(c->at);
	*c = (struct collected){ 0 };
}

#endif
