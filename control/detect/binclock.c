/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/binclock.h"

#include <limits.h>

/*
 * Wall and boot clock are read one after the other, so their distance varies by what may happen
 * between. From this on it is called a step.
 */
#define STEP_NS 100000000

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* By how much names are ahead of wall time; below 0: wall time is ahead of them. */
static int64_t measure_ahead(const struct levee_binclock *clock, uint64_t boot_ns, uint64_t unix_ns)
{
	uint64_t end_ns = clock->start_ns + clock->len_ns;

	/* The name that boot time stands for now is end - (end_boot - boot). */
	return (int64_t)(end_ns - unix_ns) - (int64_t)(clock->end_boot_ns - boot_ns);
}

/*
 * If wall time is ahead, bring the end of the running bin to where wall time has it. A step past
 * that end is not to be taken up here: it would look like a bin that nobody closed for long.
 */
static void agree(struct levee_binclock *clock, uint64_t boot_ns, uint64_t unix_ns)
{
	int64_t ahead = measure_ahead(clock, boot_ns, unix_ns);

	clock->ahead_ns = ahead > 0 ? ahead : 0;
	if (ahead < 0 && (ahead > -STEP_NS || unix_ns < clock->start_ns + clock->len_ns))
		clock->end_boot_ns -= (uint64_t)-ahead;
}

void levee_binclock_start(struct levee_binclock *clock, uint64_t len_ns, uint64_t boot_ns,
			  uint64_t unix_ns)
{
	uint64_t start_ns = unix_ns - unix_ns % len_ns;

	*clock = (struct levee_binclock){
		.len_ns = len_ns,
		.start_ns = start_ns,
		.opened_ns = boot_ns,
		.end_boot_ns = boot_ns + (start_ns + len_ns - unix_ns),
	};
}

bool levee_binclock_due(struct levee_binclock *clock, uint64_t boot_ns, uint64_t unix_ns)
{
	int64_t step = clock->ahead_ns - measure_ahead(clock, boot_ns, unix_ns);

	if (step >= STEP_NS || step <= -STEP_NS)
		clock->stepped_ns = step;
	agree(clock, boot_ns, unix_ns);
	return boot_ns >= clock->end_boot_ns || unix_ns >= clock->start_ns + clock->len_ns;
}

/* Bins that the running one stands for: itself, and each whole length since its end. */
static uint64_t count_bins(const struct levee_binclock *clock, uint64_t boot_ns)
{
	if (boot_ns < clock->end_boot_ns)
		return 1;
	return 1 + (boot_ns - clock->end_boot_ns) / clock->len_ns;
}

unsigned int levee_binclock_next(struct levee_binclock *clock, uint64_t boot_ns, uint64_t unix_ns)
{
	uint64_t len_ns = clock->len_ns, bins, follows_ns, end_ns;

	agree(clock, boot_ns, unix_ns);
	bins = count_bins(clock, boot_ns);
	follows_ns = clock->start_ns + bins * len_ns;
	end_ns = clock->end_boot_ns + bins * len_ns;
	clock->start_ns = unix_ns - unix_ns % len_ns;
	if (clock->start_ns > follows_ns)
		end_ns = boot_ns + (clock->start_ns + len_ns - unix_ns);
	else
		clock->start_ns = follows_ns;
	/* Before its time only if the caller asked before it was due. */
	clock->end_boot_ns = earlier(end_ns, boot_ns + len_ns);
	clock->opened_ns = boot_ns;
	agree(clock, boot_ns, unix_ns);
	return bins > UINT_MAX ? UINT_MAX : (unsigned int)bins;
}
