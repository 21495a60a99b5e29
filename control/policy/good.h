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

/** \param max  sources kept, 1 at least. \return levee_good_free() frees it; NULL */
struct levee_good *levee_good_new(size_t max);
void levee_good_free(struct levee_good **good);

/**
 * A bin was closed: take its sources, and forget those that were last seen before begin_s.
 * When there is no room for all, or the bin has values without a name, it is not known what a rule
 * costs until these bins have left the window.
 * \return 0; -ENOMEM: not known either
 */
int levee_good_close(struct levee_good *good, const struct levee_bin *bin, int64_t start_s,
		     int64_t begin_s);

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
