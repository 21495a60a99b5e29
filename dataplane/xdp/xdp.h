/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The XDP data path: user space's side of ebpf/levee.bpf.c.
 *
 * Program, links and maps are pinned below one directory, so that counting and dropping go on
 * while no daemon lives, and the next one takes them over without detaching:
 *
 *	PIN/maps/NAME        the maps (see ebpf/maps.bpf.h); maps/control is the .bss
 *	PIN/links/INTERFACE  one link for each interface
 *	PIN/program          the program
 *	PIN/sources4, PIN/sources6, PIN/rules     for `cat`
 *
 * Order of calls: levee_xdp_open() loads or takes over, and touches no interface; the caller puts
 * allow list and blocks into the policy; levee_xdp_start() attaches. Whoever was protected before
 * stays so throughout, and no packet meets a program whose allow list is not yet there.
 */
#ifndef LEVEE_XDP_H
#define LEVEE_XDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"

#define LEVEE_XDP_PIN "/sys/fs/bpf/levee"

enum levee_xdp_attach { LEVEE_XDP_AUTO, LEVEE_XDP_NATIVE, LEVEE_XDP_GENERIC };

/* How a message is meant; levels as of syslog, so that the caller can map them. */
enum levee_xdp_say { LEVEE_XDP_ERROR = 3, LEVEE_XDP_WARNING = 4, LEVEE_XDP_NOTICE = 5 };

struct levee_xdp_options {
	const char *const *interfaces; /* names; at least one */
	size_t n_interfaces;
	enum levee_xdp_attach attach;
	const char *pin;		   /* directory on a BPF file system */
	struct levee_table_options tables; /* for each CPU, or lcore */
	/** Told in whole sentences what was done and what went wrong. */
	void (*say)(void *ctx, enum levee_xdp_say level, const char *message);
	void *ctx;
};

/**
 * Load the program, or take over what is pinned, keeping its counts, blocks and links.
 * \param out  the caller closes it with levee_dataplane_close()
 * \return 0; -errno with the cause said: -EPERM, -ENODEV (no such interface), -EBUSY (another
 *         levee holds the directory), -ENOTSUP (kernel lacks something), -ENOMEM ...
 */
int levee_xdp_open(struct levee_dataplane **out, const struct levee_xdp_options *options);

/**
 * Attach to every interface, or replace the program that an earlier levee attached there.
 * All or nothing: on failure no interface is left with a link that this call made.
 * An XDP program of somebody else is never replaced: -EBUSY, and its name and id are said.
 */
int levee_xdp_start(struct levee_dataplane *dp);

/**
 * Have a thread of its own wait for running programs from now on, which takes milliseconds a bin:
 * levee_dataplane.await is called meanwhile. It has the privileges of the caller, of which it needs CAP_BPF.
 * \return 0; -errno: the caller's thread goes on waiting itself
 */
int levee_xdp_run_fences(struct levee_dataplane *dp);

/**
 * See whether every interface is still attached, and attach anew where one has gone and come
 * back. What was taken off by hand is said, and left off. Called once a bin.
 */
void levee_xdp_check(struct levee_dataplane *dp);

/**
 * Look at TCP headers from now on, or no longer: the program is loaded once more, which takes seconds,
 * on a thread of its own with the privileges of the caller. levee_xdp_tend() then lets it take the
 * place of the one in force, without a packet that meets none; blocks and counts stay. What goes
 * wrong is said, and the old one stays.
 * \return 0: it is on its way, or so already; -errno
 */
int levee_xdp_set_flows(struct levee_dataplane *dp, bool flows);

/** Is there something for levee_xdp_tend(), which takes the privileges of attaching? */
bool levee_xdp_is_due(const struct levee_dataplane *dp);
void levee_xdp_tend(struct levee_dataplane *dp);

/**
 * Names the set of maps, and those of other sizes that take its place: their epochs have one count.
 * Valid until close.
 */
const char *levee_xdp_maps_id(const struct levee_dataplane *dp);

/** Were blocks and counts of a process before found and taken over? */
bool levee_xdp_resumed(const struct levee_dataplane *dp);

/** The loaded program, for tests and benches that run it by bpf(BPF_PROG_TEST_RUN). Not a copy. */
int levee_xdp_program_fd(const struct levee_dataplane *dp);

/**
 * Print a list from the maps pinned below `pin`, as `cat` does where the kernel takes iterators:
 * "rules", "sources4" or "sources6". Reads only, daemon or not.
 * \return 0; -ENOENT if nothing is pinned there; -EPROTO if it is of another version; -EINVAL if
 *         there is no such list; -errno
 */
int levee_xdp_list(const char *pin, const char *what, FILE *out);

/**
 * Take everything off: links, program, maps. Packets pass from then on.
 * \return 0; -ENOENT if nothing is pinned there; -EBUSY while a daemon runs, unless force
 */
int levee_xdp_detach(const char *pin, bool force,
		     void (*say)(void *ctx, enum levee_xdp_say level, const char *message),
		     void *ctx);

#endif
