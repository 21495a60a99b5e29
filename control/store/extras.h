/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stored bin may have beside moments and candidates: its histogram, and the measures beside
 * packets. Each is a blob of its own, or NULL where there is none, in little-endian order:
 *
 *	0	4	"LVH1" or "LVM1"
 *	4	8	FNV-1a of the bin's start and of all that follows
 *	12		histogram: control/detect/histogram.h
 *		measures, each: measure (1), minimum (8), n (8), sum (16), squares (16), entries (4),
 *		and 42 bytes an entry: family, length, hi, lo, packets, bytes, SYNs
 *
 * A blob that is damaged costs what it holds: the bin stands without it.
 */
#ifndef LEVEE_STORE_EXTRAS_H
#define LEVEE_STORE_EXTRAS_H

#include <stddef.h>
#include <stdint.h>

#include "control/detect/window.h"
#include "control/policy/nacl_cover.h"

/** \return 0 and the blob, which the caller frees; *blob NULL if there is nothing; -ENOMEM */
int levee_histogram_pack(const struct levee_bin_record *record, uint8_t **blob, size_t *size);
int levee_measures_pack(const struct levee_bin_record *record, uint8_t **blob, size_t *size);

/** Add to the record, whose start is known. \return 0; -EUCLEAN, nothing added; -ENOMEM */
int levee_histogram_unpack(struct levee_bin_record *record, const void *blob, size_t size);
int levee_measures_unpack(struct levee_bin_record *record, const void *blob, size_t size);

/**
 * Good sources near blocks (control/policy/good.h): "LVG1", FNV-1a of unix_s and of what follows,
 * and 26 bytes each: family, length, hi, lo, packets.
 */
uint8_t *levee_good_pack(const struct levee_cover_source *list, size_t n, int64_t unix_s,
			 size_t *size);

/** \return 0 and *list, which the caller frees; -EUCLEAN; -ENOMEM */
int levee_good_unpack(const void *blob, size_t size, int64_t unix_s,
		      struct levee_cover_source **list, size_t *n);

#endif
