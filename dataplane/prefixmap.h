/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map from prefixes to small integers: open addressing, linear probing, grows at 3/4 load.
 * For what operators and detectors put in, which is bounded elsewhere; not for what packets do.
 */
#ifndef LEVEE_PREFIXMAP_H
#define LEVEE_PREFIXMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/prefix.h"

struct levee_prefixmap_entry {
	struct levee_prefix key;
	uint32_t value;
	bool used;
};

/** All zero is an empty map. */
struct levee_prefixmap {
	size_t n;
	size_t slots; /* a power of two, or 0 */
	struct levee_prefixmap_entry *slot;
	size_t with_length[2][129]; /* how many keys of each length; [0] IPv4, [1] IPv6 */
};

/** \return the value of key, valid until the map changes; NULL */
uint32_t *levee_prefixmap_get(const struct levee_prefixmap *map, const struct levee_prefix *key);

/** Set or replace. \return 0; -ENOMEM, unchanged */
int levee_prefixmap_set(struct levee_prefixmap *map, const struct levee_prefix *key,
			uint32_t value);

/** \return 0; -ENOENT */
int levee_prefixmap_remove(struct levee_prefixmap *map, const struct levee_prefix *key);

/** The key that contains all of `prefix`, shortest first; NULL if there is none. */
const struct levee_prefixmap_entry *levee_prefixmap_cover(const struct levee_prefixmap *map,
							  const struct levee_prefix *prefix);

void levee_prefixmap_clear(struct levee_prefixmap *map);

/** for (i = 0; (e = levee_prefixmap_next(map, &i)); ) visits every entry. */
const struct levee_prefixmap_entry *levee_prefixmap_next(const struct levee_prefixmap *map,
							 size_t *i);

#endif
