/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands in for the DPDK data path where DPDK is not built in. */
#include "dataplane/dpdk/dpdk.h"

#ifndef WITH_DPDK

#include <errno.h>

const char *levee_dpdk_version(void)
{
	return NULL;
}

int levee_dpdk_open(struct levee_dataplane **out, const struct levee_dpdk_options *options)
{
	*out = NULL;
	if (options->say)
		options->say(options->ctx, LEVEE_DPDK_ERROR,
			     "[data_path] type = dpdk: this levee was built without DPDK; install "
			     "libdpdk-dev (dpdk-devel) and build again with `make WITH_DPDK=1`, or "
			     "set type = xdp");
	return -ENOTSUP;
}

int levee_dpdk_start(struct levee_dataplane *dp)
{
	(void)dp;
	return -ENOTSUP;
}

void levee_dpdk_check(struct levee_dataplane *dp)
{
	(void)dp;
}

int levee_dpdk_set_flows(struct levee_dataplane *dp, bool flows)
{
	(void)dp;
	(void)flows;
	return -ENOTSUP;
}

void levee_dpdk_losses(struct levee_dataplane *dp, struct levee_losses *losses)
{
	(void)dp;
	*losses = (struct levee_losses){ 0 };
}

void levee_dpdk_work(const struct levee_dataplane *dp, struct levee_dpdk_work *work)
{
	(void)dp;
	*work = (struct levee_dpdk_work){ 0 };
}

size_t levee_dpdk_interfaces(const struct levee_dataplane *dp,
			     char names[static LEVEE_DPDK_PORTS_MAX][LEVEE_DPDK_INTERFACE_BYTES])
{
	(void)dp;
	(void)names;
	return 0;
}

unsigned int levee_dpdk_lcores(const struct levee_dataplane *dp)
{
	(void)dp;
	return 1;
}

const char *levee_dpdk_maps_id(const struct levee_dataplane *dp)
{
	(void)dp;
	return "";
}

#else
typedef int levee_dpdk_is_built_in; /* ISO C wants something in a file */
#endif
