/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of levee-pktgen: one table for the parser, --help and the man page. */
#ifndef PKTGEN_OPTIONS_H
#define PKTGEN_OPTIONS_H

enum pktgen_option_id {
	OPT_PCAP = 256,
	OPT_INTERFACE,
	OPT_LIVE,
	OPT_KERNEL,
	OPT_PROC,
	OPT_DPDK,
	OPT_EAL,
	OPT_NAMESPACE,
	OPT_TRUTH,
	OPT_SUM_SPOOFED,
	OPT_TIMES,
	OPT_ABOVE,
	OPT_SOURCE6,
	OPT_JSON,
	OPT_START_TIME,
	OPT_FROM,
	OPT_SPEED,
	OPT_SCALE,
	OPT_FLOOD,
	OPT_RATE,
	OPT_RAMP,
	OPT_PACKETS,
	OPT_DURATION,
	OPT_SEED,
	OPT_SET,
	OPT_CHECK,
	OPT_KEYS,
	OPT_OWN,
	OPT_HELP,
	OPT_END,
};

#define PKTGEN_OPTIONS (OPT_END - OPT_PCAP)

struct pktgen_option {
	enum pktgen_option_id id;
	const char *name;
	const char *value; /* NULL: takes none */
	const char *help;
};

/** In the order of their ids. */
extern const struct pktgen_option pktgen_options[PKTGEN_OPTIONS];

#endif
