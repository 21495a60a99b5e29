/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules and their drops in maps that new ones take the place of. What is blocked comes from the caller
 * and never from here; only the counters go on, and they go to blocks of the very same prefix.
 *
 * Maps of another layout are read as far as these two are the size that this build knows. What is no
 * rule is passed over: counts that look odd are the worst that can come of it.
 *
 * Read twice: when the new maps are made, so that their blocks begin with these counts, and once the
 * old program has ended, for what it dropped in between.
 */
#include "dataplane/xdp/xdp_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct area {
	void *at;
	size_t size;
	uint32_t entries;
};

struct levee_relic {
	struct area rules;
	struct area hits;
	uint32_t cpus;
	struct levee_hits *read; /* for each rule, what was handed out before */
};

/* \return 0; -errno: not there, or of another size */
static int map_pinned(const char *pin, const char *dir, const char *name, size_t value,
		      struct area *area)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX + 32];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s/%s", pin, dir, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		ret = -errno;
	else if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != value)
		ret = -EPROTO;
	area->entries = info.max_entries;
	area->size = (info.max_entries * value + page - 1) / page * page;
	if (!ret) {
		area->at = mmap(NULL, area->size, PROT_READ, MAP_SHARED, fd, 0);
		ret = area->at == MAP_FAILED ? -errno : 0;
	}
	if (ret)
		area->at = NULL;
	close(fd);
	return ret;
}

int levee_relic_open(struct levee_relic **out, const char *pin, const char *dir)
{
	struct levee_relic *r = calloc(1, sizeof(*r));
	int ret = r ? map_pinned(pin, dir, "rules", sizeof(struct levee_rule), &r->rules) : -ENOMEM;

	*out = NULL;
	if (!ret)
		ret = map_pinned(pin, dir, "hits", sizeof(struct levee_hits), &r->hits);
	if (!ret && (r->rules.entries < 2 || r->hits.entries % r->rules.entries))
		ret = -EPROTO;
	if (!ret) {
		r->cpus = r->hits.entries / r->rules.entries;
		r->read = calloc(r->rules.entries, sizeof(*r->read));
		ret = r->read ? 0 : -ENOMEM;
	}
	if (ret)
		levee_relic_free(&r);
	*out = r;
	return ret;
}

void levee_relic_free(struct levee_relic **relic)
{
	struct levee_relic *r = *relic;

	*relic = NULL;
	if (!r)
		return;
	if (r->rules.at)
		munmap(r->rules.at, r->rules.size);
	if (r->hits.at)
		munmap(r->hits.at, r->hits.size);
	free(r->read);
	free(r);
}

/* The policy looks at the prefix itself: one that cannot be is nobody's. */
static bool is_block(const struct levee_rule *rule, struct levee_prefix *prefix)
{
	*prefix = (struct levee_prefix){
		.hi = rule->hi, .lo = rule->lo, .family = rule->family, .length = rule->length
	};
	return rule->verdict == LEVEE_VERDICT_BLOCK || rule->verdict == LEVEE_VERDICT_LIMIT;
}

static struct levee_hits sum_of(const struct levee_relic *r, uint32_t rule)
{
	const struct levee_hits *hits = r->hits.at;
	struct levee_hits sum = { 0 };

	for (uint32_t cpu = 0; cpu < r->cpus; cpu++)
		levee_hits_add(&sum, &hits[(size_t)cpu * r->rules.entries + rule]);
	return sum;
}

void levee_relic_begin(struct levee_relic *r, struct levee_policy *policy)
{
	const struct levee_rule *rules = r->rules.at;
	struct levee_prefix prefix;

	for (uint32_t i = 1; i < r->rules.entries; i++) {
		if (!is_block(&rules[i], &prefix))
			continue;
		r->read[i] = sum_of(r, i);
		levee_policy_inherit(policy, &prefix, &r->read[i]);
	}
}

void levee_relic_end(struct levee_relic *r, struct levee_policy *policy)
{
	const struct levee_rule *rules = r->rules.at;
	struct levee_prefix prefix;
	struct levee_hits more;
	int cpu;

	for (uint32_t i = 1; i < r->rules.entries; i++) {
		if (!is_block(&rules[i], &prefix))
			continue;
		more = sum_of(r, i);
		if (more.packets <= r->read[i].packets)
			continue;
		more.packets -= r->read[i].packets;
		more.bytes -= r->read[i].bytes;
		/* Of a CPU its program and this thread take turns on: see levee_policy_add_hits(). */
		cpu = sched_getcpu();
		levee_policy_add_hits(policy, &prefix, &more, cpu > 0 ? (uint32_t)cpu : 0);
	}
}
