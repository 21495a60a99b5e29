/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The offline data path: traffic from a file, through the same classifier, policy and interface.
 *
 * Reads pcap and pcapng (any link type Ethernet; microsecond or nanosecond stamps; an original
 * length above the captured one counts in full), and CSV lines
 *
 *	time_unix_s,source,packets[,bytes]
 *
 * with an optional heading of just these names, `#` comments and empty lines: time a decimal with
 * up to nine places, source one address, packets 0 to 2^48, bytes 0 to 2^63-1; lines up to 4096
 * bytes.
 * The format is told by the first bytes. Time is the file's alone. A CSV line stands for all of
 * its packets, and the scope does not apply to it: it has no protocol.
 *
 * A record is out of order if it is earlier than the last deadline that wait() reached, or than the
 * bin that the last drain() named: its bin is closed. Packets of a capture may be late by a second
 * and are then counted in the running bin (levee_offline_late()); any other such record is a
 * defect, and is not counted. To have the first bin guarded, too, drain and release once, naming
 * it, before the first wait(). Between drain() and release() wait() returns -EBUSY.
 *
 * A bad CSV line is reported (the first ten by file, line, value and remedy, then a count) and
 * skipped; a pcap that ends in the middle of a packet delivers all packets before it. Either way
 * the input is worked to its end, and levee_offline_errors() then tells that it was not clean.
 */
#ifndef LEVEE_OFFLINE_H
#define LEVEE_OFFLINE_H

#include "dataplane/dataplane.h"

/* Times are below this, so that nanoseconds since 1970 have 63 bits (the year 2262) [s]. */
#define LEVEE_OFFLINE_TIME_END_S 9223372036LL

struct levee_offline_options {
	const char *path;	/* "-": standard input */
	uint32_t rules;		/* room in the policy table; 0: 131072 */
	uint8_t source6_length; /* 1 to 128; 0: 64 */
	/** Called for each defect of the input with a whole sentence; NULL: standard error. */
	void (*report)(void *ctx, const char *message);
	void *ctx;
};

/**
 * Open a file and read up to its first record, whose time is then what now() gives.
 * \param out  the caller closes it with levee_dataplane_close()
 * \return 0; -errno, and `report` was told; -ENODATA if the file holds no record at all
 */
int levee_offline_open(struct levee_dataplane **out, const struct levee_offline_options *options);

/** Defects of the input so far: bad lines, packets cut short, records out of order. */
uint64_t levee_offline_errors(const struct levee_dataplane *dp);

/** Packets of a capture that were late by up to a second, and counted in the running bin. */
uint64_t levee_offline_late(const struct levee_dataplane *dp);

/** Records read so far, and how far into the file that is: 0 to 1, or -1 for a pipe. */
uint64_t levee_offline_records(const struct levee_dataplane *dp);
double levee_offline_progress(const struct levee_dataplane *dp);

#endif
