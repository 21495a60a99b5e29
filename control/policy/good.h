/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is not blocked, and how much of it: what a rule about a prefix would cost. Kept over a
 * window, because a client that was silent for a minute is a client still. Pure: no I/O, no clock.
 *
 * 48 to 96 bytes a source; only kept where somebody asks what rules cost (nacl_cover.h).
 */
#ifndef LEVEE_GOOD_H
#define LEVEE_GOOD_H

#include "control/detect/bin.h"
#include "control/policy/blocks.h"
#include "control/policy/nacl_cover.h"

struct levee_good;

#define LEVEE_GOOD_MAX	(1U << 20) /* sources */
#define LEVEE_GOOD_BINS 10	   /* closed bins before it is known who is there */

/**
 * \param max   sources kept, 1 at least
 * \param bins  closed bins before levee_good_known(); LEVEE_GOOD_BINS
 * \return levee_good_free() frees it; NULL if memory is short
 */
struct levee_good *levee_good_new(size_t max, unsigned int bins);
void levee_good_free(struct levee_good **good);

/**
 * A bin was closed: take its sources, and forget those that were last seen before begin_s.
 * When there is no room for all, or the bin has values without a name, it is not known what a rule
 * costs until these bins have left the window.
 * \return 0; -ENOMEM: not known either
 */
int levee_good_close(struct levee_good *good, const struct levee_bin *bin, int64_t start_s,
		     int64_t begin_s);

/** One of before a restart, last seen in the bin of last_s. \return 0; -ENOMEM; -ENOSPC */
int levee_good_put(struct levee_good *good, const struct levee_cover_source *source,
		   int64_t last_s);

/** Is everybody known who sent anything in the window? */
bool levee_good_known(const struct levee_good *good);

/**
 * Those near to a block, which a rule could touch: in the same /20 (IPv4) or /48 (IPv6), and not
 * blocked themselves. Packets are those of the largest bin.
 * \return 0 and *list, which the caller frees; -ENOMEM
 */
int levee_good_list(const struct levee_good *good, const struct levee_blocks *blocks,
		    struct levee_cover_source **list, size_t *n);

size_t levee_good_count(const struct levee_good *good);

#endif
