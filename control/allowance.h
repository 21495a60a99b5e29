/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the platform dropped before anybody here saw it. EC2 grants an instance so many packets a
 * second; the ENA driver counts what came above that as pps_allowance_exceeded. No program on the
 * instance can drop such a flood: only network ACLs, which stand before the instance, can.
 */
#ifndef LEVEE_ALLOWANCE_H
#define LEVEE_ALLOWANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEVEE_ALLOWANCE_STAT "pps_allowance_exceeded"
#define LEVEE_ALLOWANCE_MAX  64 /* interfaces */

/**
 * One statistic of a driver, as `ethtool -S` shows it.
 * \return 0; -ENOENT if the driver has none of that name; -errno
 */
int levee_ethtool_stat(const char *interface, const char *name, uint64_t *value);

/** All zero is a beginning. */
struct levee_allowance {
	struct {
		bool known;
		uint64_t value;
	} last[LEVEE_ALLOWANCE_MAX];
	uint64_t exceeded; /* packets between the last two looks, of all interfaces */
	uint64_t total;	   /* since the first look */
};

/** A look at all interfaces begins. */
void levee_allowance_begin(struct levee_allowance *allowance);

/**
 * Interface nr (0 to LEVEE_ALLOWANCE_MAX - 1) stands at this value. The first is what was there
 * before; a smaller one than the last begins at 0 (the driver was reset).
 */
void levee_allowance_note(struct levee_allowance *allowance, size_t nr, uint64_t value);

#endif
