/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/operator.h"

#include <errno.h>
#include <stdlib.h>

void levee_operator_clear(struct levee_operator_list *list)
{
	levee_prefixmap_clear(&list->places);
	free(list->entries);
	*list = (struct levee_operator_list){ 0 };
}

static struct levee_operator_entry *find(const struct levee_operator_list *list,
					 const struct levee_prefix *prefix)
{
	const uint32_t *place = levee_prefixmap_get(&list->places, prefix);

	return place ? &list->entries[*place] : NULL;
}

static void find_next(struct levee_operator_list *list)
{
	list->next_boot_ns = LEVEE_NEVER;
	for (size_t i = 0; i < list->n; i++)
		if (list->entries[i].expires_boot_ns < list->next_boot_ns)
			list->next_boot_ns = list->entries[i].expires_boot_ns;
}

static int make_room(struct levee_operator_list *list)
{
	size_t capacity = list->capacity ? 2 * list->capacity : 16;
	struct levee_operator_entry *more;

	if (list->n >= LEVEE_OPERATOR_MAX)
		return -ENOSPC;
	if (list->n < list->capacity)
		return 0;
	more = reallocarray(list->entries, capacity, sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->entries = more;
	list->capacity = capacity;
	return 0;
}

int levee_operator_put(struct levee_operator_list *list, const struct levee_operator_entry *entry)
{
	struct levee_operator_entry *there = find(list, &entry->prefix);
	int ret;

	if (there) {
		*there = *entry;
		find_next(list);
		return 0;
	}
	ret = make_room(list);
	if (!ret)
		ret = levee_prefixmap_set(&list->places, &entry->prefix, (uint32_t)list->n);
	if (ret)
		return ret;
	if (list->n == 0 || entry->expires_boot_ns < list->next_boot_ns)
		list->next_boot_ns = entry->expires_boot_ns;
	list->entries[list->n++] = *entry;
	return 0;
}

/* The last entry takes the place of the one that leaves. */
static void take_out(struct levee_operator_list *list, size_t place)
{
	uint32_t *moved;

	levee_prefixmap_remove(&list->places, &list->entries[place].prefix);
	if (place != --list->n) {
		list->entries[place] = list->entries[list->n];
		moved = levee_prefixmap_get(&list->places, &list->entries[place].prefix);
		*moved = (uint32_t)place;
	}
}

int levee_operator_remove(struct levee_operator_list *list, const struct levee_prefix *prefix)
{
	const struct levee_operator_entry *there = find(list, prefix);
	uint64_t end_ns;

	if (!there)
		return -ENOENT;
	end_ns = there->expires_boot_ns;
	take_out(list, (size_t)(there - list->entries));
	if (end_ns == list->next_boot_ns)
		find_next(list);
	return 0;
}

const struct levee_operator_entry *levee_operator_get(const struct levee_operator_list *list,
						      const struct levee_prefix *prefix)
{
	return find(list, prefix);
}

const struct levee_operator_entry *levee_operator_covering(const struct levee_operator_list *list,
							   const struct levee_prefix *prefix,
							   uint64_t now_boot_ns)
{
	const struct levee_operator_entry *entry;
	struct levee_prefix outer;

	/* Not levee_prefixmap_cover(): the shortest may have ended while a longer one has not. */
	for (unsigned int length = 0; list->n && length <= prefix->length; length++) {
		if (!list->places.with_length[prefix->family == 6][length])
			continue;
		outer = *prefix;
		outer.length = (uint8_t)length;
		levee_prefix_canon(&outer);
		entry = find(list, &outer);
		if (entry && entry->expires_boot_ns > now_boot_ns)
			return entry;
	}
	return NULL;
}

bool levee_operator_expire(struct levee_operator_list *list, uint64_t now_boot_ns,
			   struct levee_operator_entry *gone)
{
	if (levee_operator_next_expiry(list) > now_boot_ns)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		if (list->entries[i].expires_boot_ns > now_boot_ns)
			continue;
		*gone = list->entries[i];
		take_out(list, i);
		find_next(list);
		return true;
	}
	return false;
}

uint64_t levee_operator_next_expiry(const struct levee_operator_list *list)
{
	return list->n ? list->next_boot_ns : LEVEE_NEVER;
}
