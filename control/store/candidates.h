/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The candidates of a stored bin as one blob, in little-endian order:
 *
 *	0	4	"LVC1"
 *	4	8	FNV-1a of the bin's other columns and of all that follows
 *	12	34 each	family (1), length (1), hi (8), lo (8), packets (8), bytes (8)
 *
 * The uppermost bit of family says that the source answered. Entries are sorted by source. The sum finds what SQLite's page structure does not: a bit that
 * turned within a row.
 */
#ifndef LEVEE_STORE_CANDIDATES_H
#define LEVEE_STORE_CANDIDATES_H

#include <stddef.h>
#include <stdint.h>

#include "control/detect/window.h"

/** \return the blob, the caller frees it, and its size; NULL if memory is short */
uint8_t *levee_candidates_pack(const struct levee_bin_record *record, unsigned int bin_s,
			       size_t *size);

/**
 * Check a blob against the other columns, which *record holds already, and add its candidates.
 * \return 0, and the record owns them; -EUCLEAN, and *why is a static text; -ENOMEM
 */
int levee_candidates_unpack(struct levee_bin_record *record, unsigned int bin_s, const void *blob,
			    size_t size, const char **why);

/**
 * What a candidate out of a file breaks of the promises that the window builds on.
 * \param before  the one before it in its list; NULL for the first
 * \return a static text; NULL if it is fit
 */
const char *levee_candidate_unfit(const struct levee_candidate *candidate,
				  const struct levee_candidate *before);

#endif
