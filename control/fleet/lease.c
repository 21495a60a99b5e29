/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/lease.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000ULL

void levee_lease_init(struct levee_lease *lease, const char *node)
{
	*lease = (struct levee_lease){ 0 };
	snprintf(lease->node, sizeof(lease->node), "%s", node);
}

void levee_lease_claim(const struct levee_lease *lease, char *out, unsigned int size)
{
	if (lease->token)
		snprintf(out, size, "%s %" PRIu64, lease->node, lease->token);
	else
		snprintf(out, size, "%s", "");
}

void levee_lease_drop(struct levee_lease *lease)
{
	lease->token = 0;
	lease->until_ns = 0;
}

static int parse_holder(struct levee_lease *lease, const char *text)
{
	const char *blank = strchr(text, ' ');
	size_t n = blank ? (size_t)(blank - text) : 0;
	char *end = NULL;

	lease->holder[0] = '\0';
	lease->holder_token = 0;
	if (*text == '\0')
		return 0;
	if (n == 0 || n >= sizeof(lease->holder) || !isdigit((unsigned char)blank[1]))
		return -EPROTO;
	errno = 0;
	lease->holder_token = strtoull(blank + 1, &end, 10);
	if (errno || *end || !lease->holder_token)
		return -EPROTO;
	memcpy(lease->holder, text, n);
	lease->holder[n] = '\0';
	return 0;
}

int levee_lease_answer(struct levee_lease *lease, uint64_t sent_ns, uint64_t now_ns,
		       const char *holder, bool ours)
{
	int ret = parse_holder(lease, holder);

	if (ret || !ours || strcmp(lease->holder, lease->node) != 0) {
		levee_lease_drop(lease);
		return ret;
	}
	if (lease->token != lease->holder_token)
		lease->since_ns = now_ns;
	lease->token = lease->holder_token;
	lease->until_ns = sent_ns + (LEVEE_LEASE_TTL_MS - LEVEE_LEASE_SLACK_MS) * NS_PER_MS;
	return 0;
}

bool levee_lease_held(const struct levee_lease *lease, uint64_t now_ns)
{
	return lease->token && now_ns < lease->until_ns;
}

uint64_t levee_lease_call_until(const struct levee_lease *lease, uint64_t now_ns)
{
	if (!levee_lease_held(lease, now_ns) ||
	    now_ns < lease->since_ns + LEVEE_LEASE_WAIT_MS * NS_PER_MS ||
	    lease->until_ns - now_ns < LEVEE_LEASE_CALL_MS * NS_PER_MS)
		return 0;
	return lease->until_ns;
}
