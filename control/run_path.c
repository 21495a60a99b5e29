/* SPDX-License-Identifier: BSD-2-Clause */
/* The data path that the configuration names: what `levee run` needs of it beside its interface. */
#include "control/run_internal.h"
#include "control/service/privilege.h"

#include <net/if.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk.h"
#include "dataplane/xdp/xdp.h"

struct path {
	int (*open)(struct levee_run *r);
	int (*start)(struct levee_dataplane *dp);
	int (*settle)(struct levee_dataplane *dp); /* NULL: nothing takes long */
	void (*check)(struct levee_dataplane *dp);
	const char *(*maps_id)(const struct levee_dataplane *dp);
	bool (*resumed)(const struct levee_dataplane *dp);
	void (*losses)(struct levee_dataplane *dp, struct levee_losses *losses);
	int (*set_flows)(struct levee_dataplane *dp, bool flows);
	const char *stopped; /* what becomes of packets after SIGTERM */
};

/* Looking at TCP headers costs each packet a little: only where it decides something. */
bool levee_run_wants_flows(const struct levee_config *config)
{
	return config->detect.min_syns ||
	       (config->nacl.enabled && config->nacl.push_spoofable != LEVEE_NACL_PUSH_ALL);
}

static struct levee_table_options tables_of(const struct levee_config *config)
{
	return (struct levee_table_options){
		.sources = config->data_path.sources,
		.sources6 = config->data_path.sources6,
		.rules = config->data_path.rules,
		.source6_length = (uint8_t)config->data_path.source6_prefix,
		.flows = levee_run_wants_flows(config),
	};
}

/* ---- XDP --------------------------------------------------------------------------------- */

static void say_xdp(void *ctx, enum levee_xdp_say level, const char *message)
{
	(void)ctx;
	levee_log(level == LEVEE_XDP_ERROR     ? LEVEE_LOG_ERROR
		  : level == LEVEE_XDP_WARNING ? LEVEE_LOG_WARNING
					       : LEVEE_LOG_NOTICE,
		  "%s", message);
}

static int open_xdp(struct levee_run *r)
{
	const struct levee_config *config = r->config;
	static const enum levee_xdp_attach attach[] = { [LEVEE_ATTACH_AUTO] = LEVEE_XDP_AUTO,
							[LEVEE_ATTACH_NATIVE] = LEVEE_XDP_NATIVE,
							[LEVEE_ATTACH_GENERIC] =
								LEVEE_XDP_GENERIC };
	struct levee_xdp_options options = {
		.interfaces = (const char *const *)config->data_path.interfaces.word,
		.n_interfaces = config->data_path.interfaces.n,
		.attach = attach[config->data_path.attach],
		.pin = config->data_path.pin,
		.tables = tables_of(config),
		.say = say_xdp,
	};

	return levee_xdp_open(&r->dp, &options);
}

/* The kernel's, and `ip -s link` has them. */
static void no_losses(struct levee_dataplane *dp, struct levee_losses *losses)
{
	(void)dp;
	*losses = (struct levee_losses){ .known = false };
}

static const struct path xdp = {
	.open = open_xdp,
	.start = levee_xdp_start,
	.settle = levee_xdp_run_fences,
	.check = levee_xdp_check,
	.maps_id = levee_xdp_maps_id,
	.resumed = levee_xdp_resumed,
	.losses = no_losses,
	.set_flows = levee_xdp_set_flows,
	.stopped = "the kernel goes on counting and dropping, and blocks end by themselves. "
		   "`levee detach` takes the program off",
};

/* ---- DPDK -------------------------------------------------------------------------------- */

static void say_dpdk(void *ctx, enum levee_dpdk_say level, const char *message)
{
	static const enum levee_log_level levels[] = { [LEVEE_DPDK_ERROR] = LEVEE_LOG_ERROR,
						       [LEVEE_DPDK_WARNING] = LEVEE_LOG_WARNING,
						       [LEVEE_DPDK_NOTICE] = LEVEE_LOG_NOTICE,
						       [LEVEE_DPDK_INFO] = LEVEE_LOG_INFO,
						       [LEVEE_DPDK_DEBUG] = LEVEE_LOG_DEBUG };

	(void)ctx;
	levee_log(levels[level], "%s", message);
}

static int open_dpdk(struct levee_run *r)
{
	const struct levee_config *config = r->config;
	bool is_wire = config->data_path.mode == LEVEE_DPDK_MODE_WIRE;
	struct levee_dpdk_options options = {
		.eal = (const char *const *)config->data_path.eal.word,
		.n_eal = config->data_path.eal.n,
		.ports = (const char *const *)config->data_path.ports.word,
		.n_ports = config->data_path.ports.n,
		.mode = is_wire ? LEVEE_DPDK_WIRE : LEVEE_DPDK_MONITOR,
		.lcores = (uint32_t)config->data_path.lcores,
		.queues = (uint32_t)config->data_path.queues,
		.tables = tables_of(config),
		.say = say_dpdk,
	};

	return levee_dpdk_open(&r->dp, &options);
}

static bool never_resumed(const struct levee_dataplane *dp)
{
	(void)dp;
	return false;
}

static const struct path dpdk_monitor = {
	.open = open_dpdk,
	.start = levee_dpdk_start,
	.check = levee_dpdk_check,
	.maps_id = levee_dpdk_maps_id,
	.resumed = never_resumed,
	.losses = levee_dpdk_losses,
	.set_flows = levee_dpdk_set_flows,
	.stopped = "nothing is counted until levee runs again; window and blocks are kept in "
		   "[state] file",
};

static const struct path dpdk_wire = {
	.open = open_dpdk,
	.start = levee_dpdk_start,
	.check = levee_dpdk_check,
	.maps_id = levee_dpdk_maps_id,
	.resumed = never_resumed,
	.losses = levee_dpdk_losses,
	.set_flows = levee_dpdk_set_flows,
	.stopped = "NO PACKET passes between the two ports until levee runs again; window and "
		   "blocks are kept in [state] file",
};

/* ---- which ------------------------------------------------------------------------------- */

static const struct path *path_of(const struct levee_run *r)
{
	if (r->config->data_path.type == LEVEE_PATH_XDP)
		return &xdp;
	return r->config->data_path.mode == LEVEE_DPDK_MODE_WIRE ? &dpdk_wire : &dpdk_monitor;
}

int levee_run_open_path(struct levee_run *r)
{
	return path_of(r)->open(r);
}

int levee_run_start_path(struct levee_run *r)
{
	return path_of(r)->start(r->dp);
}

static int settle(void *ctx)
{
	struct levee_run *r = ctx;

	return path_of(r)->settle(r->dp);
}

int levee_run_settle_path(struct levee_run *r)
{
	r->dp->breathe = levee_run_breathe;
	r->dp->await = levee_run_await;
	r->dp->ctx = r;
	return path_of(r)->settle ? levee_privilege_run_bpf(settle, r) : 0;
}

void levee_run_check_path(struct levee_run *r)
{
	path_of(r)->check(r->dp);
}

int levee_run_set_flows(struct levee_run *r, bool flows)
{
	int ret;

	levee_privilege_raise();
	ret = path_of(r)->set_flows(r->dp, flows);
	levee_privilege_lower();
	return ret;
}

void levee_run_tend_path(struct levee_run *r)
{
	if (r->config->data_path.type != LEVEE_PATH_XDP || !levee_xdp_is_due(r->dp))
		return;
	levee_privilege_raise();
	levee_xdp_tend(r->dp);
	levee_privilege_lower();
}

const char *levee_run_maps_id(const struct levee_run *r)
{
	return path_of(r)->maps_id(r->dp);
}

bool levee_run_resumed(const struct levee_run *r)
{
	return path_of(r)->resumed(r->dp);
}

void levee_run_losses(const struct levee_run *r, struct levee_losses *losses)
{
	path_of(r)->losses(r->dp, losses);
}

unsigned int levee_run_cpus(const struct levee_run *r)
{
	if (r->config->data_path.type == LEVEE_PATH_DPDK)
		return levee_dpdk_lcores(r->dp);
	return (unsigned int)sysconf(_SC_NPROCESSORS_CONF);
}

const char *levee_run_stopped(const struct levee_run *r)
{
	return path_of(r)->stopped;
}

/* ---- whose addresses are always allowed ---------------------------------------------------- */

int levee_run_own_prefixes(const struct levee_run *r, struct levee_allowlist *out)
{
	const struct levee_words *given = &r->config->data_path.interfaces;
	char behind[LEVEE_DPDK_PORTS_MAX][IF_NAMESIZE];
	const char *names[LEVEE_CONFIG_INTERFACES_MAX + LEVEE_DPDK_PORTS_MAX];
	size_t n = 0, n_behind = 0;

	for (size_t i = 0; i < given->n && n < LEVEE_CONFIG_INTERFACES_MAX; i++)
		names[n++] = given->word[i];
	if (r->config->data_path.type == LEVEE_PATH_DPDK)
		n_behind = levee_dpdk_interfaces(r->dp, behind);
	for (size_t i = 0; i < n_behind; i++)
		names[n++] = behind[i];
	return levee_allowlist_automatic(out, names, n);
}
