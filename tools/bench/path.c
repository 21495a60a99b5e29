/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/path.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/xdp/xdp.h"
#include "tools/bench/bench.skel.h"
#include "tools/bench/peers.skel.h"

/* ---- sources ----------------------------------------------------------------------------- */

/* Apart from each other in the generator's numbers, so that kinds do not meet. */
uint64_t bench_kind_base(uint8_t family, enum bench_kind kind)
{
	uint64_t first = (uint64_t)kind << 28;

	if (family == 4)
		return (uint32_t)(first * BENCH_SCATTER4);
	return 0x2000000000000000ULL + ((first * BENCH_SCATTER6) >> 3 & ~7ULL);
}

struct levee_prefix bench_nth_source(uint8_t family, enum bench_kind kind, uint64_t n)
{
	uint64_t base = bench_kind_base(family, kind);

	if (family == 4)
		return (struct levee_prefix){ .family = 4,
					      .length = 32,
					      .hi = (uint32_t)(base + n * BENCH_SCATTER4) };
	return (struct levee_prefix){ .family = 6,
				      .length = 64,
				      .hi = base + ((n * BENCH_SCATTER6) >> 3) };
}

static struct levee_prefix around(struct levee_prefix prefix, uint8_t length)
{
	prefix.length = length;
	levee_prefix_canon(&prefix);
	return prefix;
}

/* ---- the policy of the issue ------------------------------------------------------------- */

static int block_family(struct levee_policy *policy, uint8_t family)
{
	int ret = 0;

	for (uint64_t n = 0; n < BENCH_BLOCKED && !ret; n++) {
		struct levee_prefix source = bench_nth_source(family, BENCH_BLOCKED_SOURCE, n);
		struct levee_prefix inside = bench_nth_source(family, BENCH_BLOCKED_PREFIX, n);
		struct levee_prefix prefix = around(inside, family == 4 ? 24 : 48);

		ret = levee_policy_block(policy, &source, LEVEE_NEVER, 1);
		if (!ret)
			ret = levee_policy_block(policy, &prefix, LEVEE_NEVER, 1);
	}
	return ret;
}

/* Half of the allowed prefixes of each family. */
static int fill_policy(struct levee_policy *policy)
{
	struct levee_prefix allowed[BENCH_ALLOWED];
	int ret;

	for (uint64_t n = 0; n < BENCH_ALLOWED / 2; n++) {
		allowed[2 * n] = around(bench_nth_source(4, BENCH_ALLOWED_PREFIX, n), 16);
		allowed[2 * n + 1] = around(bench_nth_source(6, BENCH_ALLOWED_PREFIX, n), 32);
	}
	ret = levee_policy_set_allowed(policy, allowed, BENCH_ALLOWED);
	if (!ret)
		ret = block_family(policy, 4);
	if (!ret)
		ret = block_family(policy, 6);
	return ret;
}

/* UDP to port 53, where the bench's packets go. */
static void set_scope(struct levee_dataplane *dp)
{
	struct levee_scope scope = { .enabled = 1 };

	scope.part[LEVEE_PROTO_UDP >> 6] |= 1ULL << (LEVEE_PROTO_UDP & 63);
	scope.udp[53 >> 6] |= 1ULL << (53 & 63);
	dp->ops->set_scope(dp, &scope);
}

/* ---- the data path ----------------------------------------------------------------------- */

static void on_say(void *ctx, enum levee_xdp_say level, const char *message)
{
	(void)ctx;
	if (level <= LEVEE_XDP_WARNING)
		bench_complain("%s", message);
}

int bench_path_open(struct bench_path *path, const struct bench_path_options *options)
{
	static const char *const interfaces[] = { "lo" };
	static unsigned int opened;
	struct levee_xdp_options xdp = { .interfaces = interfaces,
					 .n_interfaces = 1,
					 .attach = LEVEE_XDP_GENERIC,
					 .pin = path->pin,
					 .tables = { .sources = options->sources,
						     .sources6 = options->sources6,
						     .rules = 131072,
						     .source6_length = 64,
						     .flows = options->flows },
					 .say = on_say };
	int ret;

	*path = (struct bench_path){ .flows = options->flows };
	snprintf(path->pin, sizeof(path->pin), "/sys/fs/bpf/levee-bench-%d-%u", (int)getpid(),
		 opened++);
	ret = levee_xdp_open(&path->dp, &xdp);
	if (ret)
		return ret;
	if (options->scope)
		set_scope(path->dp);
	if (options->policy)
		ret = fill_policy(levee_dataplane_policy(path->dp));
	if (ret)
		bench_complain("cannot fill the policy table: %s", strerror(-ret));
	return ret;
}

void bench_path_close(struct bench_path *path)
{
	if (path->dp)
		levee_dataplane_close(&path->dp);
}

static int take_nothing(void *ctx, const struct levee_prefix *source,
			const struct levee_counts *counts)
{
	(void)ctx, (void)source, (void)counts;
	return 0;
}

int bench_path_next_epoch(struct bench_path *path)
{
	struct levee_sink sink = { .source = take_nothing };
	struct levee_drained drained;
	int ret = levee_dataplane_drain(path->dp, 0, &sink, &drained);

	if (ret)
		bench_complain("cannot drain: %s", strerror(-ret));
	else
		levee_dataplane_release(path->dp);
	return ret;
}

struct levee_account bench_path_account(struct bench_path *path)
{
	struct levee_drained open;

	path->dp->ops->peek(path->dp, &open);
	return open.account;
}

/* ---- objects ----------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

/* The map of an object that a map in the kernel is to stand for. */
static struct bpf_map *map_like(struct bpf_object *object, const struct bpf_map_info *info)
{
	struct bpf_map *map;

	if (!ends_with(info->name, ".bss"))
		return bpf_object__find_map_by_name(object, info->name);
	bpf_object__for_each_map(map, object)
	{
		if (ends_with(bpf_map__name(map), ".bss"))
			return map;
	}
	return NULL;
}

/* Have the object use a map of the data path, and read the sizes out of its control block. */
static int reuse_map(struct bpf_object *object, uint32_t id, struct levee_geometry *geo)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	struct levee_page *page;
	struct bpf_map *map;
	int fd, ret = 0;

	fd = bpf_map_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		ret = -errno;
	map = ret ? NULL : map_like(object, &info);
	if (map)
		ret = bpf_map__reuse_fd(map, fd);
	if (map && ends_with(info.name, ".bss")) {
		page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
		if (page == MAP_FAILED) {
			ret = -errno;
		} else {
			*geo = page->control.geo;
			munmap(page, sizeof(*page));
		}
	}
	close(fd);
	return ret;
}

static int reuse_maps(struct bpf_object *object, const struct bench_path *path,
		      struct levee_geometry *geo)
{
	uint32_t ids[64];
	struct bpf_prog_info info = { .nr_map_ids = 64, .map_ids = (uintptr_t)ids };
	uint32_t len = sizeof(info);
	int ret = 0;

	if (bpf_obj_get_info_by_fd(levee_xdp_program_fd(path->dp), &info, &len))
		return -errno;
	for (uint32_t i = 0; i < info.nr_map_ids && i < 64 && !ret; i++)
		ret = reuse_map(object, ids[i], geo);
	return ret;
}

/* The read-only globals of ebpf/maps.bpf.h: struct levee_geometry geo; int frags, flows. */
static int set_constants(struct bpf_object *object, const struct levee_geometry *geo,
			 enum bench_length length, bool flows)
{
	struct {
		struct levee_geometry geo;
		int frags;
		int flows;
	} __attribute__((packed)) * constants;
	struct bpf_map *map;
	size_t size;

	bpf_object__for_each_map(map, object)
	{
		if (!ends_with(bpf_map__name(map), ".rodata"))
			continue;
		constants = (void *)bpf_map__initial_value(map, &size);
		if (!constants || size < sizeof(*constants))
			return -EINVAL;
		constants->geo = *geo;
		constants->frags = (int)length;
		constants->flows = flows;
		return 0;
	}
	return -ENOENT;
}

/* Of an object of one's own generator; it is mapped, so settings are plain stores. */
static int find_source(struct bench_object *object)
{
	struct bpf_map *map;
	void *area;

	bpf_object__for_each_map(map, object->object)
	{
		if (strcmp(bpf_map__name(map), ".data.bench"))
			continue;
		area = mmap(NULL, sizeof(*object->source), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(map), 0);
		if (area == MAP_FAILED)
			return -errno;
		object->source = area;
		return 0;
	}
	return -ENOENT;
}

/* A program that goes on with another has to be like it in this. */
static void set_frags(struct bpf_object *object, bool frags)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
		bpf_program__set_flags(program, frags ? BPF_F_XDP_HAS_FRAGS : 0);
}

static void load_only(struct bpf_object *object, const char *name, bool frags)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	set_frags(object, frags);
}

static int open_object(struct bench_object *object, const char *file)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "bench");
	const void *elf;
	size_t size;

	*object = (struct bench_object){ 0 };
	elf = bench_bpf__elf_bytes(&size);
	object->object = file ? bpf_object__open_file(file, &opts)
			      : bpf_object__open_mem(elf, size, &opts);
	return object->object ? 0 : -errno;
}

static int load_with(struct bench_object *object, const struct bench_path *path, const char *file,
		     const char *name, enum bench_length length)
{
	struct levee_geometry geo = { 0 };
	int ret = open_object(object, file);

	if (ret)
		return ret;
	load_only(object->object, name, length != BENCH_LENGTH_LINEAR);
	ret = reuse_maps(object->object, path, &geo);
	if (!ret)
		ret = set_constants(object->object, &geo, length, path->flows);
	if (!ret)
		ret = bpf_object__load(object->object);
	if (!ret)
		ret = find_source(object);
	if (ret)
		bench_object_close(object);
	return ret;
}

int bench_object_load(struct bench_object *object, const struct bench_path *path, const char *file,
		      const char *name, enum bench_length length)
{
	int ret = load_with(object, path, file, name, length);

	if (ret && length == BENCH_LENGTH_SEEN) {
		bench_complain(
			"the kernel does not take the program that sees lengths itself "
			"(%s; Linux 6.2 and later do): measuring the one that calls a helper",
			strerror(-ret));
		ret = load_with(object, path, file, name, BENCH_LENGTH_CALL);
	}
	if (ret)
		bench_complain("cannot load %s of %s: %s; root and Linux 5.18 or later are needed",
			       name, file ? file : "the bench's object", strerror(-ret));
	return ret;
}

int bench_peers_load(struct bench_object *object)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "peers");
	const void *elf;
	size_t size;
	int ret = 0;

	*object = (struct bench_object){ 0 };
	elf = peers_bpf__elf_bytes(&size);
	object->object = bpf_object__open_mem(elf, size, &opts);
	if (!object->object)
		ret = -errno;
	if (!ret)
		set_frags(object->object, true);
	if (!ret)
		ret = bpf_object__load(object->object);
	if (!ret)
		ret = find_source(object);
	if (ret) {
		bench_complain("cannot load the programs to measure against: %s; root and Linux "
			       "5.18 or later are needed",
			       strerror(-ret));
		bench_object_close(object);
	}
	return ret;
}

void bench_object_close(struct bench_object *object)
{
	if (object->source)
		munmap(object->source, sizeof(*object->source));
	bpf_object__close(object->object);
	*object = (struct bench_object){ 0 };
}

int bench_object_program(const struct bench_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object->object, name));
}

/* ---- subjects ---------------------------------------------------------------------------- */

/* A small packet to port 53; the generator writes its source. */
static void make_frame(uint8_t frame[BENCH_FRAME], uint8_t family, bool tcp)
{
	memset(frame, 0, BENCH_FRAME);
	if (family == 4) {
		frame[12] = 0x08;
		frame[14] = 0x45;
		frame[17] = BENCH_FRAME - 14;
		frame[23] = LEVEE_PROTO_UDP;
		frame[26] = 192, frame[27] = 0, frame[28] = 2, frame[29] = 1;
		frame[37] = 53;
		if (tcp) {
			frame[23] = LEVEE_PROTO_TCP;
			frame[46] = 0x50; /* five words of header */
			frame[47] = 0x10; /* ACK */
		}
	} else {
		frame[12] = 0x86, frame[13] = 0xdd;
		frame[14] = 0x60;
		frame[19] = BENCH_FRAME - 54;
		frame[20] = LEVEE_PROTO_UDP;
		frame[22] = 0x20, frame[23] = 0x01, frame[24] = 0x0d, frame[25] = 0xb8;
		frame[57] = 53;
	}
}

static int run(const struct bench_subject *s, uint64_t packets, double *ns, uint32_t *verdict)
{
	uint8_t frame[BENCH_FRAME];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = (int)packets);
	double begin;
	int ret;

	make_frame(frame, s->family, s->tcp);
	begin = bench_thread_ns();
	ret = bpf_prog_test_run_opts(s->program, &opts) ? -errno : 0;
	*ns = (bench_thread_ns() - begin) / (double)packets;
	*verdict = opts.retval;
	if (ret)
		bench_complain("%s: the kernel cannot run the program: %s", s->name,
			       strerror(-ret));
	return ret;
}

static void set_source(const struct bench_subject *s, bool in_turn, uint64_t state)
{
	if (!s->source)
		return;
	s->source->base = bench_kind_base(s->family, s->kind);
	s->source->mask = s->sources ? s->sources - 1 : 0;
	s->source->in_turn = in_turn;
	s->source->state = state;
}

int bench_subject_fill(struct bench_subject *s)
{
	uint32_t verdict;
	double ns;

	set_source(s, true, 0);
	return run(s, s->sources, &ns, &verdict);
}

/* A plain source may lie in a blocked prefix by chance, two in a row hardly do. */
static int check_verdict(const struct bench_subject *s, uint32_t verdict)
{
	double ns;
	int ret = 0;

	if (verdict != s->verdict)
		ret = run(s, 1, &ns, &verdict);
	if (ret || verdict == s->verdict)
		return ret;
	bench_complain("%s: verdict %u where %u was expected: what was measured is not what it is "
		       "called",
		       s->name, verdict, s->verdict);
	return -EPROTO;
}

static int run_once(struct bench_subject *s, double *ns)
{
	uint32_t verdict = 0;
	int ret = 0;

	if (!s->seed && s->sources)
		s->seed = 88172645463325252ULL;
	set_source(s, !s->sources, s->seed);
	if (s->warm)
		ret = run(s, s->warm, ns, &verdict);
	if (!ret)
		ret = run(s, s->repeat, ns, &verdict);
	if (ret)
		return ret;
	if (s->source)
		s->seed = s->source->state;
	return check_verdict(s, verdict);
}

static struct {
	unsigned int taken;
	unsigned int again; /* measured, and not kept */
	unsigned int loud;  /* kept, because patience was over */
	double spent_ns;
} samples;

static bool is_patient(void)
{
	return samples.spent_ns < BENCH_PATIENCE_NS;
}

static void wait_until_quiet(void)
{
	while (is_patient()) {
		double begin = bench_wall_ns();

		if (bench_is_quiet())
			return;
		samples.spent_ns += bench_wall_ns() - begin;
	}
}

int bench_subject_run_now(struct bench_subject *s)
{
	double ns = 0;
	int ret = run_once(s, &ns);

	if (!ret)
		bench_add(&s->ns, ns);
	return ret;
}

int bench_subject_run(struct bench_subject *s)
{
	bool again = !s->source || s->sources;

	for (;;) {
		double ns = 0, begin;
		bool quiet;
		int ret;

		wait_until_quiet();
		begin = bench_wall_ns();
		ret = run_once(s, &ns);
		if (ret)
			return ret;
		quiet = bench_is_quiet();
		if (quiet || !again || !is_patient()) {
			samples.taken++;
			samples.loud += !quiet;
			bench_add(&s->ns, ns);
			return 0;
		}
		samples.spent_ns += bench_wall_ns() - begin;
		samples.again++;
	}
}

void bench_subject_report(struct bench_report *report)
{
	char text[200];

	if (!samples.taken)
		return;
	snprintf(text, sizeof(text),
		 "%u samples of XDP programs; %u more were taken again, and %.0f s waited, because "
		 "something else used the core; %u were kept although it did",
		 samples.taken, samples.again, samples.spent_ns / 1e9, samples.loud);
	bench_section(report, "neighbour", "Who else used the core",
		      "by a loop of fixed work before and after each sample");
	bench_remark(report, "neighbour.samples", text);
}

int bench_round(struct bench_subject *subjects, size_t n, unsigned int round)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = bench_subject_run(&subjects[(i + round) % n]);
	return ret;
}
