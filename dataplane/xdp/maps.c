/* SPDX-License-Identifier: BSD-2-Clause */
/* The maps: their sizes, their pins, their memory, and reading one epoch out of them. */
#include "dataplane/xdp/xdp_internal.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ebpf/levee.skel.h"

#define LEVEE_MIB (1U << 20)

/* Names below PIN/maps, of the maps in the object, and how large one value is. */
static const struct {
	const char *pin;
	const char *map; /* ".bss" is found by its ending */
	size_t value;
} map_table[MAPS] = {
	[MAP_PAGE] = { "control", ".bss", sizeof(struct levee_page) },
	[MAP_ROWS] = { "rows", "rows", sizeof(struct levee_row) },
	[MAP_SOURCES4] = { "sources4", "sources4", sizeof(struct levee_bucket4) },
	[MAP_SOURCES6] = { "sources6", "sources6", sizeof(struct levee_bucket6) },
	[MAP_EVICTED4] = { "evicted4", "evicted4", sizeof(struct levee_evicted4) },
	[MAP_EVICTED6] = { "evicted6", "evicted6", sizeof(struct levee_evicted6) },
	[MAP_POLICY] = { "policy", "policy", sizeof(struct levee_policy_bucket) },
	[MAP_RULES] = { "rules", "rules", sizeof(struct levee_rule) },
	[MAP_HITS] = { "hits", "hits", sizeof(struct levee_hits) },
	[MAP_FAR4] = { "far4", "far4", sizeof(__u64) },
	[MAP_FAR6] = { "far6", "far6", sizeof(__u64) },
	[MAP_EVENTS] = { "events", "events", 0 },
	[MAP_FENCE] = { "fence", "fence", 0 },
};

bool levee_mapset_is_direct(const char *name)
{
	return !strcmp(name, map_table[MAP_ROWS].map) ||
	       !strcmp(name, map_table[MAP_SOURCES4].map) ||
	       !strcmp(name, map_table[MAP_SOURCES6].map);
}

void levee_mapset_init(struct mapset *maps)
{
	*maps = (struct mapset){ 0 };
	for (int i = 0; i < MAPS; i++)
		maps->fd[i] = -1;
}

void levee_mapset_close(struct mapset *maps)
{
	for (int i = 0; i < MAPS; i++) {
		if (maps->area[i])
			munmap(maps->area[i], maps->size[i]);
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
	}
	levee_mapset_init(maps);
}

/* ---- sizes ------------------------------------------------------------------------------- */

/*
 * Bytes that the kernel takes as one value of an ARRAY: what kmalloc() can give, 4 MB at least and 32
 * in some builds, or, later, whatever the verifier can reckon with (BPF_MAX_VAR_OFF, 512 MB). It looks
 * at the size of a value before it looks for memory, and so many there is memory for nowhere.
 */
static uint64_t largest_value(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	uint32_t size;

	for (size = 256 * LEVEE_MIB; size > 4 * LEVEE_MIB; size /= 2)
		if (bpf_map_create(BPF_MAP_TYPE_ARRAY, "levee_probe", sizeof(uint32_t), size,
				   1U << 30, &opts) == -ENOMEM)
			break;
	return size;
}

void levee_geometry_from(struct levee_geometry *geo, const struct levee_xdp_options *options)
{
	levee_geometry_init(geo, (uint32_t)libbpf_num_possible_cpus(), options->tables.sources,
			    options->tables.sources6, options->tables.source6_length,
			    options->tables.rules);
	levee_geometry_part(geo, largest_value());
}

/* Same sizes? The key is whatever it was. */
bool levee_mapset_fits(const struct mapset *maps, const struct levee_geometry *geo)
{
	struct levee_geometry a = maps->geo, b = *geo;

	memset(&a.key, 0, sizeof(a.key));
	memset(&b.key, 0, sizeof(b.key));
	return !memcmp(&a, &b, sizeof(a));
}

static uint64_t entries_of(const struct levee_geometry *geo, enum map_nr nr)
{
	uint64_t rows = geo->rows;

	switch (nr) {
	case MAP_ROWS:
		return 1;
	case MAP_SOURCES4:
		if (geo->per_value4 == LEVEE_ROWS)
			return 1;
		return rows << (geo->bits4 - geo->part4);
	case MAP_SOURCES6:
		if (geo->per_value6 == LEVEE_ROWS)
			return 1;
		return rows << (geo->bits6 - geo->part6);
	case MAP_EVICTED4:
		return rows * geo->log4;
	case MAP_EVICTED6:
		return rows * geo->log6;
	case MAP_POLICY:
		return 1ULL << geo->rule_bits;
	case MAP_RULES:
		return geo->rules;
	case MAP_HITS:
		return (uint64_t)geo->cpus * geo->rules;
	case MAP_FAR4:
	case MAP_FAR6:
		return LEVEE_FAR_WORDS;
	default:
		return 1;
	}
}

/* Buckets in one value. */
static uint32_t buckets4(const struct levee_geometry *geo)
{
	return geo->per_value4 == LEVEE_ROWS ? geo->rows << geo->bits4 : 1U << geo->part4;
}

static uint32_t buckets6(const struct levee_geometry *geo)
{
	return geo->per_value6 == LEVEE_ROWS ? geo->rows << geo->bits6 : 1U << geo->part6;
}

/* Bytes of one value; 0 if it is not memory of ours. */
static uint32_t value_of(const struct levee_geometry *geo, enum map_nr nr)
{
	size_t size = map_table[nr].value;

	if (nr == MAP_ROWS)
		size *= geo->rows;
	else if (nr == MAP_SOURCES4)
		size *= buckets4(geo);
	else if (nr == MAP_SOURCES6)
		size *= buckets6(geo);
	return (uint32_t)size;
}

/* ---- memory ------------------------------------------------------------------------------ */

/* Memory of an ARRAY with BPF_F_MMAPABLE: values of 8-byte multiples, up to whole pages. */
static int map_area(struct mapset *maps, enum map_nr nr, uint64_t entries)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (size_t)entries * value_of(&maps->geo, nr);
	void *area;

	if (!size)
		return 0;
	size = (size + page - 1) / page * page;
	area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, maps->fd[nr], 0);
	if (area == MAP_FAILED)
		return -errno;
	maps->area[nr] = area;
	maps->size[nr] = size;
	return 0;
}

static int map_areas(struct mapset *maps)
{
	int ret;

	for (int i = 0; i < MAPS; i++) {
		if (maps->area[i])
			continue;
		ret = map_area(maps, (enum map_nr)i, entries_of(&maps->geo, (enum map_nr)i));
		if (ret)
			return ret;
	}
	maps->page = maps->area[MAP_PAGE];
	maps->rows = maps->area[MAP_ROWS];
	maps->sources4 = maps->area[MAP_SOURCES4];
	maps->sources6 = maps->area[MAP_SOURCES6];
	maps->evicted4 = maps->area[MAP_EVICTED4];
	maps->evicted6 = maps->area[MAP_EVICTED6];
	return 0;
}

/* ---- what an earlier process left ------------------------------------------------------- */

static bool is_sized(const struct mapset *maps, enum map_nr nr)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(maps->fd[nr], &info, &len))
		return false;
	if (map_table[nr].value && info.value_size != value_of(&maps->geo, nr))
		return false;
	return nr == MAP_EVENTS || info.max_entries == entries_of(&maps->geo, nr);
}

/**
 * Open the maps pinned below `pin`, in LEVEE_MAPS or LEVEE_ASIDE.
 * \return 0; -ENOENT if there are none; -EPROTO if they are of another layout, or not ours
 */
int levee_mapset_open_pinned(struct mapset *maps, const char *pin, const char *dir)
{
	char path[PATH_MAX + 32];
	int ret;

	levee_mapset_init(maps);
	for (int i = 0; i < MAPS; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", pin, dir, map_table[i].pin);
		maps->fd[i] = bpf_obj_get(path);
		if (maps->fd[i] < 0) {
			/* One that is missing among others: the work of a process that was killed. */
			ret = -errno;
			levee_mapset_close(maps);
			return ret;
		}
	}
	ret = -EPROTO;
	if (!is_sized(maps, MAP_PAGE))
		goto fail;
	ret = map_area(maps, MAP_PAGE, 1);
	if (ret)
		goto fail;
	maps->page = maps->area[MAP_PAGE];
	maps->geo = maps->page->control.geo;
	ret = -EPROTO;
	if (maps->geo.layout != LEVEE_LAYOUT || !maps->geo.cpus || maps->geo.bits4 > 24 ||
	    maps->geo.bits6 > 24 || maps->geo.part4 > maps->geo.bits4 ||
	    maps->geo.part6 > maps->geo.bits6 || maps->geo.rule_bits > 24 ||
	    maps->geo.rows != LEVEE_EPOCHS * maps->geo.cpus || !maps->geo.source6_length ||
	    maps->geo.source6_length > 128)
		goto fail;
	for (int epoch = 0; epoch < LEVEE_EPOCHS; epoch++)
		if (maps->page->control.bits4[epoch] > maps->geo.bits4 ||
		    maps->page->control.bits6[epoch] > maps->geo.bits6)
			goto fail;
	for (int i = 0; i < MAPS; i++)
		if (!is_sized(maps, (enum map_nr)i))
			goto fail;
	ret = map_areas(maps);
	if (ret)
		goto fail;
	return 0;
fail:
	levee_mapset_close(maps);
	return ret;
}

/* ---- loading ----------------------------------------------------------------------------- */

static struct bpf_map *find_map(struct bpf_object *object, enum map_nr nr)
{
	struct bpf_map *map;
	const char *name;
	size_t len;

	if (nr != MAP_PAGE)
		return bpf_object__find_map_by_name(object, map_table[nr].map);
	bpf_object__for_each_map(map, object)
	{
		name = bpf_map__name(map);
		len = strlen(name);
		if (len > 4 && !strcmp(name + len - 4, ".bss"))
			return map;
	}
	return NULL;
}

/*
 * Says in the type of a table how many buckets it has, or the kernel takes the map without a type
 * only, and bpftool prints bytes. The BTF is the object's own copy, which libbpf changes in the
 * same way for data sections.
 */
static int grow_part(struct bpf_object *object, const char *name, uint32_t buckets)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	struct btf_type *part, *array;

	if (id < 0)
		return id;
	part = (struct btf_type *)btf__type_by_id(btf, (uint32_t)id);
	array = (struct btf_type *)btf__type_by_id(btf, btf_members(part)->type);
	btf_array(array)->nelems = buckets;
	part->size *= buckets;
	return 0;
}

static int set_sizes(struct bpf_object *object, const struct levee_geometry *geo)
{
	struct bpf_map *map;
	int ret;

	ret = grow_part(object, "levee_account", geo->rows);
	if (!ret)
		ret = grow_part(object, "levee_part4", buckets4(geo));
	if (!ret)
		ret = grow_part(object, "levee_part6", buckets6(geo));
	if (ret)
		return ret;
	for (int i = MAP_ROWS; i < MAPS; i++) {
		uint64_t entries = entries_of(geo, (enum map_nr)i);

		if (i == MAP_EVENTS || i == MAP_FENCE)
			continue;
		if (entries > UINT32_MAX)
			return -E2BIG;
		map = find_map(object, (enum map_nr)i);
		ret = bpf_map__set_max_entries(map, (uint32_t)entries);
		if (!ret)
			ret = bpf_map__set_value_size(map, value_of(geo, (enum map_nr)i));
		if (ret)
			return ret;
	}
	return 0;
}

int levee_mapset_reuse(struct bpf_object *object, const struct mapset *maps)
{
	int ret;

	for (int i = 0; i < MAPS; i++) {
		struct bpf_map *map = find_map(object, (enum map_nr)i);

		if (!map)
			continue;
		ret = bpf_map__reuse_fd(map, maps->fd[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/* Take over the fds of maps that were just made. */
static int adopt_maps(struct levee_xdp *x)
{
	for (int i = 0; i < MAPS; i++) {
		x->maps.fd[i] = dup(bpf_map__fd(find_map(x->skel->obj, (enum map_nr)i)));
		if (x->maps.fd[i] < 0)
			return -errno;
	}
	return map_areas(&x->maps);
}

static void set_constants(struct levee_xdp *x)
{
	memcpy((void *)&x->skel->rodata->geo, &x->maps.geo, sizeof(x->maps.geo));
	x->skel->rodata->frags = x->frags;
	x->skel->rodata->flows = x->flows;
}

/* Of the two programs, the one that is meant; the other stays a part of the file. */
static struct bpf_program *choose_program(const struct levee_xdp *x, bool sees_buff)
{
	bpf_program__set_autoload(x->skel->progs.levee_xdp, sees_buff);
	bpf_program__set_autoload(x->skel->progs.levee_xdp_any, !sees_buff);
	return sees_buff ? x->skel->progs.levee_xdp : x->skel->progs.levee_xdp_any;
}

static int load_once(struct levee_xdp *x, bool reuse, bool sees_buff)
{
	struct bpf_program *program;
	int ret;

	ret = levee_rewrite_register();
	if (ret)
		return ret;
	x->skel = levee_bpf__open();
	if (!x->skel)
		return -errno;
	set_constants(x);
	program = choose_program(x, sees_buff);
	bpf_program__set_flags(program, x->frags ? BPF_F_XDP_HAS_FRAGS : 0);
	ret = reuse ? levee_mapset_reuse(x->skel->obj, &x->maps)
		    : set_sizes(x->skel->obj, &x->maps.geo);
	if (!ret)
		ret = levee_bpf__load(x->skel);
	if (ret) {
		levee_bpf__destroy(x->skel);
		x->skel = NULL;
		return ret;
	}
	x->prog_fd = bpf_program__fd(program);
	return 0;
}

/*
 * Load the program: the faster one that reads the kernel's own context (6.2), else with
 * multi-buffer support all the same (5.18), else without.
 */
static int load_program(struct levee_xdp *x, bool reuse)
{
	int ret;

	x->frags = true;
	ret = load_once(x, reuse, true);
	if (!ret || ret == -EPERM || ret == -ENOMEM || ret == -E2BIG)
		return ret;
	levee_xdp_forget_complaint(); /* of what the next one does not need */
	ret = load_once(x, reuse, false);
	if (ret != -EINVAL && ret != -EACCES)
		return ret;
	x->frags = false;
	ret = load_once(x, reuse, false);
	if (!ret)
		levee_xdp_say(x, LEVEE_XDP_WARNING,
			      "this kernel does not take XDP programs with multi-buffer support "
			      "(Linux 5.18 and later do): frames above one page, as with MTU 9001, "
			      "will need the MTU lowered to 3498 or generic mode");
	return ret;
}

int levee_mapset_create(struct levee_xdp *x, const struct levee_xdp_options *options)
{
	struct levee_rows rows;
	int ret;

	levee_mapset_init(&x->maps);
	levee_geometry_from(&x->maps.geo, options);
	/* What takes the place of others goes by their name, and counts on in their numbers. */
	if (x->has_before)
		x->maps.geo.key = x->before.geo.key;
	ret = load_program(x, false);
	if (!ret)
		ret = adopt_maps(x);
	if (ret)
		return ret;
	rows = levee_mapset_rows(&x->maps);
	levee_rows_begin(&rows, x->has_before ? x->before.page->control.seq + 1 : 1,
			 levee_xdp_boot_ns());
	return 0;
}

int levee_mapset_load(struct levee_xdp *x)
{
	return load_program(x, true);
}

/* ---- pins -------------------------------------------------------------------------------- */

static int make_dir(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

int levee_mapset_unpin(const char *pin, const char *dir)
{
	char path[PATH_MAX + 32];
	int ret = 0;

	for (int i = 0; i < MAPS; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", pin, dir, map_table[i].pin);
		if (unlink(path) && errno != ENOENT)
			ret = -errno;
	}
	snprintf(path, sizeof(path), "%s/%s", pin, dir);
	if (rmdir(path) && errno != ENOENT)
		ret = -errno;
	return ret;
}

/* If that fails, what they counted last is lost if this process is killed before it has drained them. */
static void set_aside(struct levee_xdp *x)
{
	char from[PATH_MAX + 32], to[PATH_MAX + 32];

	levee_mapset_unpin(x->pin, LEVEE_ASIDE);
	snprintf(from, sizeof(from), "%s/%s", x->pin, LEVEE_MAPS);
	snprintf(to, sizeof(to), "%s/%s", x->pin, LEVEE_ASIDE);
	x->is_aside = !rename(from, to);
}

int levee_mapset_pin(struct levee_xdp *x)
{
	char path[PATH_MAX + 32];
	int ret;

	if (x->has_before && !x->is_aside)
		set_aside(x);
	levee_mapset_unpin(x->pin, LEVEE_MAPS);
	snprintf(path, sizeof(path), "%s/%s", x->pin, LEVEE_MAPS);
	ret = make_dir(path);
	for (int i = 0; i < MAPS && !ret; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", x->pin, LEVEE_MAPS, map_table[i].pin);
		if (bpf_obj_pin(x->maps.fd[i], path))
			ret = -errno;
	}
	return ret;
}

/* ---- one epoch --------------------------------------------------------------------------- */

struct levee_rows levee_mapset_rows(const struct mapset *maps)
{
	return (struct levee_rows){ .geo = maps->geo,
				    .control = &maps->page->control,
				    .rows = maps->rows,
				    .sources4 = maps->sources4,
				    .sources6 = maps->sources6,
				    .evicted4 = maps->evicted4,
				    .evicted6 = maps->evicted6 };
}

/* Hand out one epoch, that nobody writes any more if there is a sink; else only the account. */
int levee_mapset_walk(const struct levee_xdp *x, const struct mapset *maps, uint32_t epoch,
		      const struct levee_sink *sink, struct levee_account *account)
{
	struct levee_rows rows = levee_mapset_rows(maps);

	rows.breathe = x->dp.breathe;
	rows.ctx = x->dp.ctx;
	return levee_rows_walk(&rows, epoch, sink, account);
}

void levee_mapset_size_next(const struct mapset *maps, uint32_t running)
{
	struct levee_rows rows = levee_mapset_rows(maps);

	levee_rows_size_next(&rows, running);
}

void levee_mapset_clear(const struct levee_xdp *x, uint32_t epoch)
{
	struct levee_rows rows = levee_mapset_rows(&x->maps);

	rows.breathe = x->dp.breathe;
	rows.ctx = x->dp.ctx;
	levee_rows_clear(&rows, epoch);
}
