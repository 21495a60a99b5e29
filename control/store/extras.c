/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/extras.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/store/blob.h"
#include "control/store/candidates.h"

#define HEADER_BYTES 12
#define HEAD_BYTES   53 /* of a measure */
#define ENTRY_BYTES  42
#define GOOD_BYTES   26
#define ANSWERED     0x80U /* beside the family */

static uint64_t checksum(int64_t start_s, const uint8_t *data, size_t size)
{
	uint8_t start[8];

	levee_put_le64(start, (uint64_t)start_s);
	return levee_fnv(levee_fnv(LEVEE_FNV_BEGIN, start, sizeof(start)), data, size);
}

static void seal(int64_t start_s, const char magic[static 4], uint8_t *blob, size_t size)
{
	memcpy(blob, magic, 4);
	levee_put_le64(blob + 4, checksum(start_s, blob + HEADER_BYTES, size - HEADER_BYTES));
}

static bool is_sealed(int64_t start_s, const char magic[static 4], const uint8_t *blob, size_t size)
{
	return size >= HEADER_BYTES && !memcmp(blob, magic, 4) &&
	       levee_get_le64(blob + 4) ==
		       checksum(start_s, blob + HEADER_BYTES, size - HEADER_BYTES);
}

/* ---- histogram ----------------------------------------------------------------------------- */

int levee_histogram_pack(const struct levee_bin_record *record, uint8_t **blob, size_t *size)
{
	uint8_t *bytes;
	size_t n;

	*blob = NULL;
	*size = 0;
	if (!record->histogram.n)
		return 0;
	bytes = levee_histogram_write(&record->histogram, &n);
	*blob = bytes ? malloc(HEADER_BYTES + n) : NULL;
	if (*blob) {
		memcpy(*blob + HEADER_BYTES, bytes, n);
		*size = HEADER_BYTES + n;
		seal(record->start_s, "LVH1", *blob, *size);
	}
	free(bytes);
	return *blob ? 0 : -ENOMEM;
}

int levee_histogram_unpack(struct levee_bin_record *record, const void *blob, size_t size)
{
	const uint8_t *at = blob;
	int ret;

	if (!blob)
		return 0;
	if (!is_sealed(record->start_s, "LVH1", at, size))
		return -EUCLEAN;
	ret = levee_histogram_read(&record->histogram, at + HEADER_BYTES, size - HEADER_BYTES);
	return ret == -EINVAL ? -EUCLEAN : ret;
}

/* ---- measures ------------------------------------------------------------------------------ */

static void put_u128(uint8_t *at, levee_u128 value)
{
	levee_put_le64(at, (uint64_t)value);
	levee_put_le64(at + 8, (uint64_t)(value >> 64));
}

static levee_u128 get_u128(const uint8_t *at)
{
	return levee_get_le64(at) | (levee_u128)levee_get_le64(at + 8) << 64;
}

static uint8_t *put_measure(uint8_t *at, enum levee_measure which,
			    const struct levee_bin_measure *m)
{
	at[0] = (uint8_t)which;
	levee_put_le64(at + 1, m->minimum);
	levee_put_le64(at + 9, m->moments.n);
	put_u128(at + 17, m->moments.sum);
	put_u128(at + 33, m->moments.sq);
	for (int i = 0; i < 4; i++)
		at[49 + i] = (uint8_t)(m->n_candidates >> (8 * i));
	at += HEAD_BYTES;
	for (size_t i = 0; i < m->n_candidates; i++, at += ENTRY_BYTES) {
		const struct levee_candidate *c = &m->candidates[i];

		at[0] = (uint8_t)(c->source.family | (c->answered ? ANSWERED : 0));
		at[1] = c->source.length;
		levee_put_le64(at + 2, c->source.hi);
		levee_put_le64(at + 10, c->source.lo);
		levee_put_le64(at + 18, c->packets);
		levee_put_le64(at + 26, c->bytes);
		levee_put_le64(at + 34, c->syns);
	}
	return at;
}

int levee_measures_pack(const struct levee_bin_record *record, uint8_t **blob, size_t *size)
{
	size_t n = HEADER_BYTES;
	uint8_t *at;

	*blob = NULL;
	*size = 0;
	for (int m = 0; m < LEVEE_MEASURES; m++)
		if (record->measures[m])
			n += HEAD_BYTES + record->measures[m]->n_candidates * ENTRY_BYTES;
	if (n == HEADER_BYTES)
		return 0;
	*blob = malloc(n);
	if (!*blob)
		return -ENOMEM;
	at = *blob + HEADER_BYTES;
	for (enum levee_measure m = LEVEE_PACKETS; m < LEVEE_MEASURES; m++)
		if (record->measures[m])
			at = put_measure(at, m, record->measures[m]);
	*size = n;
	seal(record->start_s, "LVM1", *blob, n);
	return 0;
}

static bool read_entries(struct levee_bin_measure *m, const uint8_t *at)
{
	for (size_t i = 0; i < m->n_candidates; i++, at += ENTRY_BYTES) {
		struct levee_candidate *c = &m->candidates[i];

		*c = (struct levee_candidate){
			.source = { .family = (uint8_t)(at[0] & ~ANSWERED),
				    .length = at[1],
				    .hi = levee_get_le64(at + 2),
				    .lo = levee_get_le64(at + 10) },
			.packets = levee_get_le64(at + 18),
			.bytes = levee_get_le64(at + 26),
			.syns = levee_get_le64(at + 34),
			.answered = at[0] & ANSWERED,
		};
		if (c->bytes > LEVEE_VALUE_MAX || c->syns > LEVEE_VALUE_MAX ||
		    levee_candidate_unfit(c, i ? c - 1 : NULL))
			return false;
	}
	return true;
}

/* \return bytes read, and the measure is the record's; 0 if it is damaged; -ENOMEM */
static ssize_t read_measure(struct levee_bin_record *record, const uint8_t *at, size_t size)
{
	struct levee_bin_measure *m;
	size_t n = 0;

	if (size < HEAD_BYTES || at[0] == LEVEE_PACKETS || at[0] >= LEVEE_MEASURES ||
	    record->measures[at[0]])
		return 0;
	for (int i = 0; i < 4; i++)
		n |= (size_t)at[49 + i] << (8 * i);
	if (n > (size - HEAD_BYTES) / ENTRY_BYTES)
		return 0;
	m = calloc(1, sizeof(*m));
	if (m)
		m->candidates = calloc(n + 1, sizeof(*m->candidates));
	if (!m || !m->candidates) {
		free(m);
		return -ENOMEM;
	}
	m->minimum = levee_get_le64(at + 1);
	m->moments = (struct levee_moments){ levee_get_le64(at + 9), get_u128(at + 17),
					     get_u128(at + 33) };
	m->n_candidates = n;
	record->measures[at[0]] = m;
	return levee_moments_possible(&m->moments) && read_entries(m, at + HEAD_BYTES)
		       ? (ssize_t)(HEAD_BYTES + n * ENTRY_BYTES)
		       : 0;
}

static void drop_measures(struct levee_bin_record *record)
{
	for (int m = 0; m < LEVEE_MEASURES; m++) {
		if (record->measures[m])
			free(record->measures[m]->candidates);
		free(record->measures[m]);
		record->measures[m] = NULL;
	}
}

int levee_measures_unpack(struct levee_bin_record *record, const void *blob, size_t size)
{
	const uint8_t *at = blob;

	if (!blob)
		return 0;
	if (!is_sealed(record->start_s, "LVM1", at, size))
		return -EUCLEAN;
	at += HEADER_BYTES;
	size -= HEADER_BYTES;
	while (size) {
		ssize_t n = read_measure(record, at, size);

		if (n <= 0) {
			drop_measures(record);
			return n ? (int)n : -EUCLEAN;
		}
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

/* ---- good sources -------------------------------------------------------------------------- */

uint8_t *levee_good_pack(const struct levee_cover_source *list, size_t n, int64_t unix_s,
			 size_t *size)
{
	uint8_t *blob = malloc(HEADER_BYTES + n * GOOD_BYTES), *at;

	if (!blob)
		return NULL;
	at = blob + HEADER_BYTES;
	for (size_t i = 0; i < n; i++, at += GOOD_BYTES) {
		at[0] = list[i].prefix.family;
		at[1] = list[i].prefix.length;
		levee_put_le64(at + 2, list[i].prefix.hi);
		levee_put_le64(at + 10, list[i].prefix.lo);
		levee_put_le64(at + 18, list[i].packets);
	}
	*size = HEADER_BYTES + n * GOOD_BYTES;
	seal(unix_s, "LVG1", blob, *size);
	return blob;
}

static bool is_canonical(const struct levee_prefix *prefix)
{
	struct levee_prefix canon = *prefix;

	if (!(prefix->family == 4 && prefix->length <= 32) &&
	    !(prefix->family == 6 && prefix->length <= 128))
		return false;
	levee_prefix_canon(&canon);
	return !levee_prefix_compare(&canon, prefix);
}

int levee_good_unpack(const void *blob, size_t size, int64_t unix_s,
		      struct levee_cover_source **list, size_t *n)
{
	const uint8_t *at = blob;

	*list = NULL;
	*n = 0;
	if (!blob || !is_sealed(unix_s, "LVG1", at, size) || (size - HEADER_BYTES) % GOOD_BYTES)
		return -EUCLEAN;
	*n = (size - HEADER_BYTES) / GOOD_BYTES;
	*list = calloc(*n + 1, sizeof(**list));
	if (!*list)
		return -ENOMEM;
	at += HEADER_BYTES;
	for (size_t i = 0; i < *n; i++, at += GOOD_BYTES) {
		struct levee_cover_source *source = &(*list)[i];

		source->prefix = (struct levee_prefix){ .family = at[0],
							.length = at[1],
							.hi = levee_get_le64(at + 2),
							.lo = levee_get_le64(at + 10) };
		source->packets = levee_get_le64(at + 18);
		if (is_canonical(&source->prefix) && source->packets <= LEVEE_VALUE_MAX)
			continue;
		free(*list);
		*list = NULL;
		return -EUCLEAN;
	}
	return 0;
}
