/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/candidates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/store/blob.h"

#define MAGIC	     "LVC1"
#define MAGIC_BYTES  4
#define HEADER_BYTES 12
#define ENTRY_BYTES  34
#define ANSWERED     0x80U /* beside the family */

/* Over the record's other columns, then over the entries. */
static uint64_t checksum(const struct levee_bin_record *record, unsigned int bin_s,
			 const uint8_t *entries, size_t size)
{
	const uint64_t columns[] = {
		(uint64_t)record->start_s,
		bin_s,
		record->moments.n,
		(uint64_t)(record->moments.sum >> 64),
		(uint64_t)record->moments.sum,
		(uint64_t)(record->moments.sq >> 64),
		(uint64_t)record->moments.sq,
		record->min_packets,
		record->flags,
	};
	uint64_t sum = LEVEE_FNV_BEGIN;
	uint8_t word[8];

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		levee_put_le64(word, columns[i]);
		sum = levee_fnv(sum, word, sizeof(word));
	}
	return levee_fnv(sum, entries, size);
}

static void pack_entry(uint8_t *at, const struct levee_candidate *candidate)
{
	at[0] = (uint8_t)(candidate->source.family | (candidate->answered ? ANSWERED : 0));
	at[1] = candidate->source.length;
	levee_put_le64(at + 2, candidate->source.hi);
	levee_put_le64(at + 10, candidate->source.lo);
	levee_put_le64(at + 18, candidate->packets);
	levee_put_le64(at + 26, candidate->bytes);
}

uint8_t *levee_candidates_pack(const struct levee_bin_record *record, unsigned int bin_s,
			       size_t *size)
{
	size_t entries = record->n_candidates * ENTRY_BYTES;
	uint8_t *blob = malloc(HEADER_BYTES + entries);

	if (!blob)
		return NULL;
	for (size_t i = 0; i < record->n_candidates; i++)
		pack_entry(blob + HEADER_BYTES + i * ENTRY_BYTES, &record->candidates[i]);
	memcpy(blob, MAGIC, MAGIC_BYTES);
	levee_put_le64(blob + MAGIC_BYTES, checksum(record, bin_s, blob + HEADER_BYTES, entries));
	*size = HEADER_BYTES + entries;
	return blob;
}

static void unpack_entry(struct levee_candidate *candidate, const uint8_t *at)
{
	*candidate = (struct levee_candidate){
		.source = { .family = (uint8_t)(at[0] & ~ANSWERED),
			    .length = at[1],
			    .hi = levee_get_le64(at + 2),
			    .lo = levee_get_le64(at + 10) },
		.packets = levee_get_le64(at + 18),
		.bytes = levee_get_le64(at + 26),
		.answered = at[0] & ANSWERED,
	};
}

/* The promises of struct levee_prefix and of a record: the window builds on them. */
const char *levee_candidate_unfit(const struct levee_candidate *candidate,
				  const struct levee_candidate *before)
{
	struct levee_prefix canon = candidate->source;

	if (!(canon.family == 4 && canon.length <= 32) &&
	    !(canon.family == 6 && canon.length <= 128))
		return "a source is no prefix";
	levee_prefix_canon(&canon);
	if (levee_prefix_compare(&canon, &candidate->source) != 0)
		return "a source has host bits";
	if (before && levee_prefix_compare(&before->source, &candidate->source) >= 0)
		return "sources are not sorted";
	if (candidate->packets == 0 || candidate->packets > LEVEE_VALUE_MAX)
		return "a source's packets are out of range";
	return NULL;
}

int levee_candidates_unpack(struct levee_bin_record *record, unsigned int bin_s, const void *blob,
			    size_t size, const char **why)
{
	const uint8_t *at = blob;
	struct levee_candidate *candidates;
	size_t n;

	*why = "its candidates are cut short";
	if (!blob || size < HEADER_BYTES || (size - HEADER_BYTES) % ENTRY_BYTES != 0)
		return -EUCLEAN;
	*why = "its candidates are in no known format";
	if (memcmp(at, MAGIC, MAGIC_BYTES) != 0)
		return -EUCLEAN;
	*why = "its checksum is wrong";
	if (levee_get_le64(at + MAGIC_BYTES) !=
	    checksum(record, bin_s, at + HEADER_BYTES, size - HEADER_BYTES))
		return -EUCLEAN;
	*why = "no values can have its moments";
	if (!levee_moments_possible(&record->moments))
		return -EUCLEAN;

	n = (size - HEADER_BYTES) / ENTRY_BYTES;
	if (n == 0)
		return 0;
	candidates = calloc(n, sizeof(*candidates));
	if (!candidates)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		unpack_entry(&candidates[i], at + HEADER_BYTES + i * ENTRY_BYTES);
		*why = levee_candidate_unfit(&candidates[i], i > 0 ? &candidates[i - 1] : NULL);
		if (*why) {
			free(candidates);
			return -EUCLEAN;
		}
	}
	record->candidates = candidates;
	record->n_candidates = n;
	return 0;
}
