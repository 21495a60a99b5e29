/* SPDX-License-Identifier: BSD-2-Clause */
/* What `levee nacl plan` and `levee nacl status` found, as text and as JSON: one struct, two printers. */
#ifndef LEVEE_CLI_NACL_PRINT_H
#define LEVEE_CLI_NACL_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "control/aws/nacl_push.h"

#define LEVEE_NACL_SCHEMA 1 /* of the JSON */

/* What happens to a rule number of the ACL in force. */
enum levee_nacl_change {
	LEVEE_NACL_KEEP,
	LEVEE_NACL_ADD,
	LEVEE_NACL_PUT, /* another rule under the number */
	LEVEE_NACL_TAKE,
};

struct levee_nacl_view_rule {
	enum levee_nacl_change change;
	struct levee_nacl_entry wanted;		/* not if TAKE */
	struct levee_nacl_entry old;		/* PUT, TAKE */
	const struct levee_nacl_target *target; /* of wanted */
	size_t holds; /* protected subnets on an ACL that has the wanted rule */
};

struct levee_nacl_view_subnet {
	const char *id;
	const char *acl; /* that it is on; "" if the read shows none */
	size_t holds;	 /* wanted rules that this ACL has */
	size_t extra;	 /* rules of Levee that it has and that are not wanted */
};

struct levee_nacl_view {
	const struct levee_nacl_look *look;
	const char *origin; /* of the blocks */
	size_t n_sources;
	size_t n_allowed;
	size_t n_good;	    /* sources near to blocks that are not blocked */
	bool good_known;    /* nobody is missing there */
	size_t n_spoofable; /* blocks left out: [nacl] push_spoofable */
	const struct levee_nacl_params *params;
	unsigned int room4, room6;
	struct levee_nacl_view_rule *rules; /* by number */
	size_t n_rules;
	struct levee_nacl_view_subnet *subnets;
	size_t n_subnets;
	size_t n_writes;      /* calls that would write */
	bool converged;	      /* nothing would, and EC2 shows it */
	const char *obstacle; /* one line: why it would not get there; NULL */
};

/** \return 0; -ENOMEM. levee_nacl_view_clear() in both cases; what `look` borrows is borrowed */
int levee_nacl_view_make(struct levee_nacl_view *view, const struct levee_nacl_look *look,
			 const struct levee_nacl_params *params, const char *obstacle);
void levee_nacl_view_clear(struct levee_nacl_view *view);

void levee_nacl_print_plan(const struct levee_nacl_view *view, FILE *out);
void levee_nacl_print_status(const struct levee_nacl_view *view, FILE *out);

/** All of it, for both. \param command  "plan" or "status" */
void levee_nacl_print_json(const struct levee_nacl_view *view, const char *command, FILE *out);

/** "blue", "green", or "not Levee's". */
const char *levee_nacl_side_name(const struct levee_nacl_look *look, const char *acl);

#endif
