/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dataplane.h"

static void add_fold(struct levee_fold *sum, const struct levee_fold *more)
{
	sum->n += more->n;
	sum->packets += more->packets;
	sum->bytes += more->bytes;
	sum->sq_lo += more->sq_lo;
	sum->sq_hi += more->sq_hi + (sum->sq_lo < more->sq_lo);
}

void levee_account_add(struct levee_account *sum, const struct levee_account *more)
{
	sum->received += more->received;
	sum->received_bytes += more->received_bytes;
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		sum->outcome[i] += more->outcome[i];
	sum->would_drop += more->would_drop;
	sum->dropped_bytes += more->dropped_bytes;
	for (int i = 0; i < LEVEE_UNPARSED_MAX; i++)
		sum->reasons[i] += more->reasons[i];
	sum->port_unknown += more->port_unknown;
	sum->lost_events += more->lost_events;
	sum->evicted += more->evicted;
	add_fold(&sum->fold, &more->fold);
}

void levee_counts_add(struct levee_counts *sum, const struct levee_counts *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
	sum->syns += more->syns;
	sum->answered |= more->answered;
}

void levee_dataplane_close(struct levee_dataplane **dp)
{
	if (!*dp)
		return;
	(*dp)->ops->close(*dp);
	*dp = NULL;
}
