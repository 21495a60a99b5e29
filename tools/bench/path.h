/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A data path as the daemon opens it, touching no interface, and the bench's programs on its maps;
 * and subjects, which are programs together with the traffic that they are to see.
 */
#ifndef LEVEE_BENCH_PATH_H
#define LEVEE_BENCH_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/libbpf.h>

#include "dataplane/dataplane.h"
#include "tools/bench/measure.h"
#include "tools/bench/report.h"
#include "tools/bench/shared.h"

struct bench_path_options {
	uint64_t sources; /* as [data_path] sources, sources6 */
	uint64_t sources6;
	bool policy; /* 1,000 blocked sources, 1,000 blocked prefixes, 10 allowed ones */
	bool scope;  /* one port of UDP */
	bool flows;  /* look at TCP headers, for SYNs and established flows */
};

struct bench_path {
	struct levee_dataplane *dp;
	char pin[64];
	bool flows; /* programs that are loaded on it look at TCP headers */
};

/** \return 0; -errno, said. bench_path_close() accepts what is half open. */
int bench_path_open(struct bench_path *path, const struct bench_path_options *options);
void bench_path_close(struct bench_path *path);

/** Close the open epoch and clear it; the next one is sized by the daemon's rule for what it saw. */
int bench_path_next_epoch(struct bench_path *path);

/** The account of the open epoch. */
struct levee_account bench_path_account(struct bench_path *path);

/*
 * The IPv4 and IPv6 numbers from which the generator scatters each kind of source. Block and allow
 * lists hold BENCH_BLOCKED or BENCH_ALLOWED of the sources that it makes, from the first.
 */
enum bench_kind {
	BENCH_PLAIN,
	BENCH_BLOCKED_SOURCE, /* IPv4: an address; IPv6: its /64, as the daemon blocks sources */
	BENCH_BLOCKED_PREFIX, /* an address in a /24, or a /64 in a /48 */
	BENCH_ALLOWED_PREFIX, /* an address in a /16, or a /64 in a /32 */
	BENCH_NEW,	      /* plain, and none that BENCH_PLAIN makes */
};
#define BENCH_BLOCKED 1000
#define BENCH_ALLOWED 10

uint64_t bench_kind_base(uint8_t family, enum bench_kind kind);

/** n-th source of a kind: the inverse of what the generator writes. */
struct levee_prefix bench_nth_source(uint8_t family, enum bench_kind kind, uint64_t n);

/* A BPF object of the bench, loaded. */
struct bench_object {
	struct bpf_object *object;
	struct bench_source *source; /* settings of its generator */
};

/**
 * Load the program under test on the maps of a path.
 * \param file   an object file to use instead of the one built in; NULL
 * \param name   of the one program of it that is loaded
 * \param length how it learns a frame's length; a kernel that has no BENCH_LENGTH_SEEN gets the
 *               next best, and that is said
 * \return 0; -errno, said
 */
int bench_object_load(struct bench_object *object, const struct bench_path *path, const char *file,
		      const char *name, enum bench_length length);

/** Load what it is measured against. */
int bench_peers_load(struct bench_object *object);

void bench_object_close(struct bench_object *object);
int bench_object_program(const struct bench_object *object, const char *name);

#define BENCH_FRAME 60

struct bench_subject {
	const char *name;
	int program;
	struct bench_source *source; /* NULL: it has no generator */
	uint8_t family;
	bool tcp; /* IPv4: acknowledging segments, as of an established flow; else UDP */
	enum bench_kind kind;
	uint64_t sources; /* a power of two: so many in random order; 0: none comes twice */
	uint64_t repeat;  /* packets a sample */
	uint64_t warm;	  /* packets before it, not measured */
	uint32_t verdict; /* XDP_*, of the last packet of every sample */
	uint64_t seed;	  /* of the generator, goes on from sample to sample; set by the first */
	struct bench_samples ns;
};

/** Let a packet of each source through, once. */
int bench_subject_fill(struct bench_subject *subject);

/**
 * Take one sample, once the core is quiet, and again if it is not any more: BENCH_PATIENCE_NS are
 * spent on that in all. Sources of which none comes twice are not sent again.
 * \return 0; -errno, said, also if the verdict is not the one expected
 */
int bench_subject_run(struct bench_subject *subject);

/** The same at once, whoever uses the core: for what is measured beside it. */
int bench_subject_run_now(struct bench_subject *subject);

#define BENCH_PATIENCE_NS 300e9

/** Say how many samples there were, and what became of those that a neighbour slowed down. */
void bench_subject_report(struct bench_report *report);

/** One sample of each subject; each round begins with another one. */
int bench_round(struct bench_subject *subjects, size_t n, unsigned int round);

#endif
