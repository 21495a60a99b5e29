/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/prefixmap.h"

#include <errno.h>
#include <stdlib.h>

static bool is_key(const struct levee_prefixmap_entry *e, const struct levee_prefix *key)
{
	return e->key.hi == key->hi && e->key.lo == key->lo && e->key.family == key->family &&
	       e->key.length == key->length;
}

/* The slot of key, or the free one where it would go. There always is one: load is below 1. */
static size_t find(const struct levee_prefixmap *map, const struct levee_prefix *key)
{
	size_t mask = map->slots - 1;
	size_t i = (size_t)levee_prefix_hash(key) & mask;

	while (map->slot[i].used && !is_key(&map->slot[i], key))
		i = (i + 1) & mask;
	return i;
}

uint32_t *levee_prefixmap_get(const struct levee_prefixmap *map, const struct levee_prefix *key)
{
	size_t i;

	if (!map->n)
		return NULL;
	i = find(map, key);
	return map->slot[i].used ? &map->slot[i].value : NULL;
}

static int grow(struct levee_prefixmap *map)
{
	struct levee_prefixmap_entry *old = map->slot;
	size_t old_slots = map->slots;
	size_t slots = old_slots ? old_slots * 2 : 64;

	map->slot = calloc(slots, sizeof(*map->slot));
	if (!map->slot) {
		map->slot = old;
		return -ENOMEM;
	}
	map->slots = slots;
	for (size_t i = 0; i < old_slots; i++)
		if (old[i].used)
			map->slot[find(map, &old[i].key)] = old[i];
	free(old);
	return 0;
}

int levee_prefixmap_set(struct levee_prefixmap *map, const struct levee_prefix *key, uint32_t value)
{
	size_t i;
	int ret;

	if ((map->n + 1) * 4 > map->slots * 3) {
		ret = grow(map);
		if (ret)
			return ret;
	}
	i = find(map, key);
	if (!map->slot[i].used) {
		map->n++;
		map->with_length[key->family == 6][key->length]++;
	}
	map->slot[i] = (struct levee_prefixmap_entry){ .key = *key, .value = value, .used = true };
	return 0;
}

int levee_prefixmap_remove(struct levee_prefixmap *map, const struct levee_prefix *key)
{
	size_t mask = map->slots - 1, hole, i, home;

	if (!map->n)
		return -ENOENT;
	hole = find(map, key);
	if (!map->slot[hole].used)
		return -ENOENT;
	map->n--;
	map->with_length[key->family == 6][key->length]--;

	/* Close the hole: whatever would not be found past it moves into it. */
	for (i = (hole + 1) & mask; map->slot[i].used; i = (i + 1) & mask) {
		home = (size_t)levee_prefix_hash(&map->slot[i].key) & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			map->slot[hole] = map->slot[i];
			hole = i;
		}
	}
	map->slot[hole].used = false;
	return 0;
}

const struct levee_prefixmap_entry *levee_prefixmap_cover(const struct levee_prefixmap *map,
							  const struct levee_prefix *prefix)
{
	struct levee_prefix key = *prefix;
	size_t i;

	if (!map->n)
		return NULL;
	for (unsigned int length = 0; length <= prefix->length; length++) {
		if (!map->with_length[prefix->family == 6][length])
			continue;
		key.hi = prefix->hi;
		key.lo = prefix->lo;
		key.length = (uint8_t)length;
		levee_prefix_canon(&key);
		i = find(map, &key);
		if (map->slot[i].used)
			return &map->slot[i];
	}
	return NULL;
}

void levee_prefixmap_clear(struct levee_prefixmap *map)
{
	free(map->slot);
	*map = (struct levee_prefixmap){ 0 };
}

const struct levee_prefixmap_entry *levee_prefixmap_next(const struct levee_prefixmap *map,
							 size_t *i)
{
	while (*i < map->slots) {
		const struct levee_prefixmap_entry *e = &map->slot[(*i)++];

		if (e->used)
			return e;
	}
	return NULL;
}
