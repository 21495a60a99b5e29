/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to dataplane/xdp/: the handle, the set of maps, and who does what with them. */
#ifndef LEVEE_XDP_INTERNAL_H
#define LEVEE_XDP_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>

#include "dataplane/rows.h"
#include "dataplane/xdp/xdp.h"

#define LEVEE_SAY_MAX 1024
#define TRIPS	      256 /* told later than the next look at the ring buffer would be too late */

/* Maps in the order of the table in maps.c. */
enum map_nr {
	MAP_PAGE,
	MAP_ROWS,
	MAP_SOURCES4,
	MAP_SOURCES6,
	MAP_EVICTED4,
	MAP_EVICTED6,
	MAP_POLICY,
	MAP_RULES,
	MAP_HITS,
	MAP_FAR4,
	MAP_FAR6,
	MAP_EVENTS,
	MAP_FENCE,
	MAPS
};

/* One set of maps, in memory. fds are -1 and areas NULL until they are there. */
struct mapset {
	int fd[MAPS];
	void *area[MAPS];
	size_t size[MAPS];
	struct levee_geometry geo;
	struct levee_page *page;
	struct levee_row *rows;
	struct levee_bucket4 *sources4;
	struct levee_bucket6 *sources6;
	struct levee_evicted4 *evicted4;
	struct levee_evicted6 *evicted6;
};

struct link {
	char name[IF_NAMESIZE];
	unsigned int ifindex;
	int fd;
	bool made_here; /* by this call of start(): undone if a later one fails */
	bool native;
	bool lost; /* not attached any more, and that was said */
};

struct levee_fence;
struct levee_relic;

struct levee_xdp {
	struct levee_dataplane dp; /* first */
	char pin[PATH_MAX];
	int lock_fd; /* the directory, flock()ed */
	enum levee_xdp_attach attach;
	bool frags;
	bool flows;
	bool resumed;
	bool unreleased; /* drained, not released */
	bool pressure;
	struct levee_prefix tripped[TRIPS]; /* not yet told; those from n_told on */
	unsigned int n_tripped;
	unsigned int n_told;
	char maps_id[40];

	struct mapset maps;
	struct mapset before; /* maps of another geometry that this one replaces; drained once */
	bool has_before;
	bool is_aside;		   /* `before` is pinned in LEVEE_ASIDE */
	struct levee_relic *relic; /* their rules and drops; also of another layout. NULL: none */
	struct levee_bpf *skel;
	struct list_bpf *list;
	int prog_fd;
	struct levee_fence *fence;

	/* A program for other constants, while it is loaded; see xdp.c. */
	bool wants_flows;
	pthread_t loader;
	struct levee_xdp *other; /* NULL: none. Of it only what loading needs is set */
	atomic_bool is_loaded;	 /* of the other: `loaded` holds */
	int loaded;

	struct link *links;
	size_t n_links;

	struct ring_buffer *ring;
	int epoll_fd;
	int timer_fd;

	void (*say)(void *ctx, enum levee_xdp_say level, const char *message);
	void *say_ctx;
};

/* relic.c */
struct levee_policy;
int levee_relic_open(struct levee_relic **out, const char *pin, const char *dir);
void levee_relic_free(struct levee_relic **relic);
/** Before blocks are put, and before a program uses them: they are to begin with the old counts. */
void levee_relic_begin(struct levee_relic *relic, struct levee_policy *policy);
/** Nobody counts in the old maps any more: what came since. */
void levee_relic_end(struct levee_relic *relic, struct levee_policy *policy);

/* fence.c */
int levee_fence_new(struct levee_fence **out, int map_fd);
void levee_fence_free(struct levee_fence **fence);
/** From now on a thread with the privileges of the caller makes the calls; before, the waiter does. */
int levee_fence_run(struct levee_fence *fence);
/** \return its number: once that is passed, every program that runs now has ended */
uint64_t levee_fence_start(struct levee_fence *fence);
bool levee_fence_passed(struct levee_fence *fence, uint64_t nr);
/** \return 0; -errno: the kernel did not wait, at some fence up to this one */
int levee_fence_wait(struct levee_fence *fence, uint64_t nr);
/** Readable when one is passed; -1 without the thread. */
int levee_fence_fd(const struct levee_fence *fence);

/* rewrite.c */
/** Before an object with an XDP program is opened. \return 0; -errno of libbpf */
int levee_rewrite_register(void);

/* xdp.c */
void levee_xdp_say(const struct levee_xdp *x, enum levee_xdp_say level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
const char *levee_xdp_kernel_says(void); /* libbpf's last complaint, "" if none */
void levee_xdp_forget_complaint(void);
uint64_t levee_xdp_boot_ns(void);

/* maps.c */
/* Where maps are pinned: those in use, and those that they took the place of until these are drained. */
#define LEVEE_MAPS  "maps"
#define LEVEE_ASIDE "before"

void levee_mapset_init(struct mapset *maps);
void levee_mapset_close(struct mapset *maps);
int levee_mapset_open_pinned(struct mapset *maps, const char *pin, const char *dir);
int levee_mapset_create(struct levee_xdp *x, const struct levee_xdp_options *options);
/** Does the program reach all values of this map by the address of the first, if it has but one? */
bool levee_mapset_is_direct(const char *name);
int levee_mapset_reuse(struct bpf_object *object, const struct mapset *maps);
int levee_mapset_load(struct levee_xdp *x);
/** In LEVEE_MAPS; what is there, and still to be drained, is put into LEVEE_ASIDE. */
int levee_mapset_pin(struct levee_xdp *x);
int levee_mapset_unpin(const char *pin, const char *dir);
bool levee_mapset_fits(const struct mapset *maps, const struct levee_geometry *geo);
void levee_geometry_from(struct levee_geometry *geo, const struct levee_xdp_options *options);
struct levee_rows levee_mapset_rows(const struct mapset *maps);
int levee_mapset_walk(const struct levee_xdp *x, const struct mapset *maps, uint32_t epoch,
		      const struct levee_sink *sink, struct levee_account *account);
void levee_mapset_size_next(const struct mapset *maps, uint32_t running);
void levee_mapset_clear(const struct levee_xdp *x, uint32_t epoch);

/* attach.c */
int levee_links_open(struct levee_xdp *x, const struct levee_xdp_options *options);
int levee_links_start(struct levee_xdp *x);
/** The program that is loaded now takes over from another; on failure that one is back everywhere. */
int levee_links_replace(struct levee_xdp *x, int before_fd);
void levee_links_check(struct levee_xdp *x);
void levee_links_close(struct levee_xdp *x);

#endif
