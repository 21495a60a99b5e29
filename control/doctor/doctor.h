/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `levee doctor`: looks at everything that has to be right, and says for each what is wrong and
 * what to do. It changes nothing, and needs neither a daemon nor AWS.
 *
 * Each part gathers facts and hands them to a function that judges, so that tests judge facts of
 * machines that they do not have.
 */
#ifndef LEVEE_DOCTOR_H
#define LEVEE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/config.h"

enum levee_check_verdict {
	LEVEE_CHECK_OK,
	LEVEE_CHECK_SKIP, /* does not apply here, or could not be looked at; `what` says why */
	LEVEE_CHECK_WARN, /* works, but worse than it could */
	LEVEE_CHECK_FAIL, /* does not work */
};

struct levee_check {
	char name[64]; /* "kernel", "ens5 MTU", "permission ec2:CreateTags" */
	enum levee_check_verdict verdict;
	char what[400];
	char remedy[400]; /* ""; what to do, for people */
};

struct levee_checkup {
	struct levee_check *list;
	size_t n;
	bool out_of_memory;
};

/** remedy NULL: nothing is to be done. what is a printf format. */
void levee_checkup_add(struct levee_checkup *c, const char *name, enum levee_check_verdict verdict,
		       const char *remedy, const char *what, ...)
	__attribute__((format(printf, 5, 6)));
size_t levee_checkup_count(const struct levee_checkup *c, enum levee_check_verdict verdict);
void levee_checkup_print(const struct levee_checkup *c, FILE *out);
void levee_checkup_print_json(const struct levee_checkup *c, FILE *out);
void levee_checkup_clear(struct levee_checkup *c);

/* ---- the machine ---- */

struct levee_host_facts {
	char release[65]; /* "6.1.0-18-amd64" */
	bool has_btf;
	bool has_xdp; /* the kernel loads an XDP program; needs has_caps */
	bool has_ringbuf;
	bool has_iterators;
	bool probed; /* the three before are known */
	int jit;     /* of /proc/sys/net/core/bpf_jit_enable; -1: unknown */
	bool has_net_admin, has_bpf, has_perfmon, has_sys_admin;
	bool pin_is_bpffs; /* the file system that `pin` is or would be on */
	char pin[256];
	unsigned int possible_cpus;
	uint64_t memory_available;	   /* [bytes]; 0: unknown */
	uint64_t memory_held;		   /* by the tables that are pinned there now [bytes] */
	uint64_t sources, sources6, rules; /* configured */
	bool clock_known, clock_synchronised;
};

void levee_doctor_gather_host(struct levee_host_facts *facts, const struct levee_config *config);
void levee_doctor_judge_host(struct levee_checkup *c, const struct levee_host_facts *facts);

/** Is there room for the state file? */
void levee_doctor_state(struct levee_checkup *c, const struct levee_config *config);

/* ---- interfaces ---- */

enum levee_nic_program {
	LEVEE_NIC_FREE,	   /* no XDP program */
	LEVEE_NIC_OURS,	   /* Levee's, by its pin */
	LEVEE_NIC_FOREIGN, /* somebody else's */
};

struct levee_nic_facts {
	char name[16];
	bool exists, up, running;
	char driver[32]; /* "": unknown */
	char driver_version[32];
	char kernel[65];
	unsigned int mtu;
	uint32_t channels, channels_max; /* 0: not known */
	bool lro;
	enum levee_nic_program program;
	uint32_t program_id;
	bool native; /* of an attached program */
	bool has_pps_exceeded;
	uint64_t pps_exceeded; /* packets that the platform has dropped */
	bool has_bw_exceeded;
	uint64_t bw_exceeded;
	enum levee_attach_mode attach; /* configured */
};

void levee_doctor_gather_nic(struct levee_nic_facts *facts, const char *name,
			     const struct levee_config *config);
void levee_doctor_judge_nic(struct levee_checkup *c, const struct levee_nic_facts *facts);

/* ---- traffic ---- */

struct levee_traffic_facts {
	bool known; /* the state file has an account */
	uint64_t received, counted, allowed, dropped, out_of_scope;
	bool scoped; /* [scope] ports is not empty */
};

void levee_doctor_gather_traffic(struct levee_traffic_facts *facts,
				 const struct levee_config *config);
void levee_doctor_judge_traffic(struct levee_checkup *c, const struct levee_traffic_facts *facts);

/* ---- AWS ---- */

/** Credentials, place, permissions, network ACLs, subnets, topic, log group, list, targets. */
void levee_doctor_aws(struct levee_checkup *c, const struct levee_config *config);

#endif
