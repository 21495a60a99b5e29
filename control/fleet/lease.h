/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The leader's lease, as one node sees it. Pure: time comes in as an argument.
 *
 * The engine keeps "NODE TOKEN" under one key that expires. Whoever finds it absent writes its own
 * name with a new, larger token (the fencing token); the holder prolongs it with each beat. A node
 * may act as the leader only while the time since it *sent* its last successful beat is below the
 * lease less a margin, so that it stops before the engine lets another one in, also if its clock
 * runs a little slow or the answer took long.
 *
 * Between that look and what is done there may be a pause of any length. Therefore every write to
 * the engine names the token and is refused there if it is not the newest, and so is every step
 * on a network ACL: levee_fence_check() asks the engine, and the ACL's tag holds the token.
 */
#ifndef LEVEE_FLEET_LEASE_H
#define LEVEE_FLEET_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Length of the lease, and how often it is prolonged. Another one leads after at most TTL + 2 beats.
 *
 * A call to somebody who cannot check the token (EC2) ends before the lease does, by the caller's
 * clock: what is left of the lease is the call's hard limit, and none begins with less than CALL
 * left. What was sent at the last moment is on its way still when the next leader is elected,
 * SLACK later at least; so that one waits WAIT before its own first call. WAIT is as long as a lease
 * is acted on: it also covers one that the engine has lost (a replica that took over and had not
 * heard of it). tests/model/lease.pml is a model of all this.
 */
#define LEVEE_LEASE_TTL_MS   5000U
#define LEVEE_LEASE_BEAT_MS  1000U
#define LEVEE_LEASE_SLACK_MS 1000U
#define LEVEE_LEASE_CALL_MS  1000U
#define LEVEE_LEASE_WAIT_MS  (LEVEE_LEASE_TTL_MS - LEVEE_LEASE_SLACK_MS)

struct levee_lease {
	char node[64];	   /* who we are; no blanks */
	uint64_t token;	   /* of the lease we hold; 0: none */
	uint64_t until_ns; /* boot time up to which we may act on it */
	uint64_t since_ns; /* boot time at which it was known to be ours */
	char holder[64];   /* who holds it; "": nobody */
	uint64_t holder_token;
};

void levee_lease_init(struct levee_lease *lease, const char *node);

/** What goes into the beat: "NODE TOKEN" of the lease to prolong; "" if we have none. */
void levee_lease_claim(const struct levee_lease *lease, char *out, unsigned int size);

/**
 * The engine answered a beat. \param sent_ns  boot time at which it was sent
 * \param now_ns  boot time
 * \param holder  "NODE TOKEN" as it stands there now; "": nobody
 * \param ours    it was granted to us by this beat, or prolonged
 * \return 0; -EPROTO if the text is no lease: nothing is held then
 */
int levee_lease_answer(struct levee_lease *lease, uint64_t sent_ns, uint64_t now_ns,
		       const char *holder, bool ours);

/** Contact is lost, or we resigned: what we hold is given up at once. */
void levee_lease_drop(struct levee_lease *lease);

/** May we act as the leader? */
bool levee_lease_held(const struct levee_lease *lease, uint64_t now_ns);

/**
 * May a call begin to somebody who cannot check the token?
 * \return boot time by which it must have ended [ns]; 0: not now
 */
uint64_t levee_lease_call_until(const struct levee_lease *lease, uint64_t now_ns);

#endif
