/* SPDX-License-Identifier: BSD-2-Clause */
/* What the packets that were counted say about the load balancer. */
#include "control/doctor/doctor.h"

#include <inttypes.h>
#include <string.h>

#include <sqlite3.h>

#define ENOUGH 10000 /* packets, before anything is concluded from them */

static void take_value(struct levee_traffic_facts *f, const char *name, uint64_t value)
{
	const struct {
		const char *name;
		uint64_t *to;
	} fields[] = {
		{ "received", &f->received },	      { "counted", &f->counted },
		{ "allowed", &f->allowed },	      { "dropped", &f->dropped },
		{ "out_of_scope", &f->out_of_scope },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(fields[i].name, name) == 0)
			*fields[i].to = value;
}

/* Read-only and beside a daemon: neither disturbs the other. */
void levee_doctor_gather_traffic(struct levee_traffic_facts *facts,
				 const struct levee_config *config)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *rows = NULL;

	*facts = (struct levee_traffic_facts){ .scoped = config->scope.ports.n > 0 };
	if (!config->state.file[0])
		return;
	if (sqlite3_open_v2(config->state.file, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
	    sqlite3_busy_timeout(db, 2000) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "SELECT name, value FROM account", -1, &rows, NULL) ==
		    SQLITE_OK) {
		while (sqlite3_step(rows) == SQLITE_ROW) {
			const unsigned char *name = sqlite3_column_text(rows, 0);

			facts->known = true;
			if (name)
				take_value(facts, (const char *)name,
					   (uint64_t)sqlite3_column_int64(rows, 1));
		}
	}
	sqlite3_finalize(rows);
	sqlite3_close(db);
}

/* The outcomes of [allow] come before those of [scope]: 99 % of what is left are allowed. */
static bool only_allowed(const struct levee_traffic_facts *f)
{
	return f->counted + f->dropped < f->allowed / 100;
}

void levee_doctor_judge_traffic(struct levee_checkup *c, const struct levee_traffic_facts *f)
{
	if (!f->known || f->received < ENOUGH)
		levee_checkup_add(c, "client addresses", LEVEE_CHECK_SKIP,
				  "look again when the daemon has run under traffic",
				  "too few packets were counted so far (%" PRIu64 ") to tell",
				  f->received);
	else if (f->scoped && f->out_of_scope > f->received - f->received / 100)
		levee_checkup_add(c, "client addresses", LEVEE_CHECK_WARN,
				  "compare [scope] ports with the ports of the target group",
				  "%" PRIu64 " of %" PRIu64 " packets are out of scope: nearly "
				  "nothing is counted",
				  f->out_of_scope, f->received);
	else if (only_allowed(f))
		levee_checkup_add(
			c, "client addresses", LEVEE_CHECK_WARN,
			"set the target group's attribute preserve_client_ip.enabled to true (it "
			"is "
			"off for IP targets with TCP or TLS), or use instance targets; or take too "
			"wide prefixes off the allow list",
			"%" PRIu64 " of %" PRIu64 " packets came from allowed addresses, such as "
			"the VPC's: the load balancer probably puts its own address in place of "
			"the "
			"clients'",
			f->allowed, f->received);
	else
		levee_checkup_add(c, "client addresses", LEVEE_CHECK_OK, NULL,
				  "%" PRIu64 " of %" PRIu64 " packets came from outside of the "
				  "allow list",
				  f->counted + f->dropped, f->received);
}
