/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The maps of the XDP data path. The controller sets max_entries before it loads them, from
 * struct levee_geometry; the layouts are those of include/levee/.
 *
 * Everything is a memory-mapped ARRAY, because the controller then reads a bin of a million
 * sources without a system call for each, and writes a rule with one store.
 */
#ifndef LEVEE_MAPS_BPF_H
#define LEVEE_MAPS_BPF_H

/* Known before the program is loaded, so that the kernel's compiler sees constants. */
const volatile struct levee_geometry geo = { .cpus = 1 };
const volatile int frags = 0; /* loaded with BPF_F_XDP_HAS_FRAGS */
const volatile int flows = 0; /* TCP headers are looked at, for the upper bits of tallies */

/*
 * The hash key for the functions shared with user space, which do not take volatile. Without the
 * empty asm the compiler would fold in the zeros that geo has in the object file.
 */
static __always_inline const struct levee_hash_key *hash_key(void)
{
	const struct levee_hash_key *key = (const struct levee_hash_key *)&geo.key;

	asm("" : "+r"(key));
	return key;
}

/* .bss: one memory-mapped map, reached without a look-up. */
struct levee_page levee;

#define LEVEE_ARRAY(name, value_type)              \
	struct {                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);  \
		__uint(map_flags, BPF_F_MMAPABLE); \
		__uint(max_entries, 1);            \
		__type(key, __u32);                \
		__type(value, value_type);         \
	} name SEC(".maps")

/*
 * A row's table is one value of its map, 2^part4 buckets, so that a bucket is an addition away and
 * nothing stands between two loads of a burst: with a look-up for each bucket a core has a quarter
 * as many of them under way. Kernels that take no values above 4 MB get a large table in parts.
 */
struct levee_part4 {
	struct levee_bucket4 bucket[1];
};

struct levee_part6 {
	struct levee_bucket6 bucket[1];
};

LEVEE_ARRAY(rows, struct levee_row);		 /* epochs * cpus */
LEVEE_ARRAY(sources4, struct levee_part4);	 /* rows << (bits4 - part4) */
LEVEE_ARRAY(sources6, struct levee_part6);	 /* rows << (bits6 - part6) */
LEVEE_ARRAY(evicted4, struct levee_evicted4);	 /* rows * log4 */
LEVEE_ARRAY(evicted6, struct levee_evicted6);	 /* rows * log6 */
LEVEE_ARRAY(policy, struct levee_policy_bucket); /* 1 << rule_bits */
LEVEE_ARRAY(rules, struct levee_rule);		 /* rules */
LEVEE_ARRAY(hits, struct levee_hits);		 /* cpus * rules */
LEVEE_ARRAY(far4, __u64);			 /* LEVEE_FAR_WORDS */
LEVEE_ARRAY(far6, __u64);			 /* LEVEE_FAR_WORDS */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

/*
 * The fence. An update of a map of maps returns only after every program that was running has
 * ended (kernel/bpf/syscall.c, maybe_wait_bpf_programs), which is all that this map is for.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 1);
			__type(key, __u32);
			__type(value, __u32);
		});
} fence SEC(".maps");

/* ---- the buckets of a row ---------------------------------------------------------------- */

/* Of a row: where its buckets are. Filled in once, or the constants would be loaded each time. */
struct levee_table {
	void *part; /* the only one; NULL if there are several */
	__u32 row_nr;
	__u32 mask; /* of a part */
};

/* For both families: `map` has rows of 2^bits buckets in parts of 2^part. */
static __always_inline int find_table(struct levee_table *t, void *map, __u32 row_nr, __u32 mask,
				      __u32 part, __u32 bits)
{
	t->row_nr = row_nr;
	t->mask = mask;
	if (part < bits) {
		t->part = 0;
		return 0;
	}
	t->part = bpf_map_lookup_elem(map, &row_nr);
	return t->part ? 0 : -1;
}

static __always_inline int find_table4(struct levee_table *t, __u32 row_nr)
{
	return find_table(t, &sources4, row_nr, geo.mask4, geo.part4, geo.bits4);
}

static __always_inline int find_table6(struct levee_table *t, __u32 row_nr)
{
	return find_table(t, &sources6, row_nr, geo.mask6, geo.part6, geo.bits6);
}

static __always_inline struct levee_bucket4 *bucket4(const struct levee_table *t, __u32 at)
{
	void *part = t->part;
	__u32 nr;

	if (!part) {
		nr = (t->row_nr << (geo.bits4 - geo.part4)) | (at >> 6 >> geo.part4);
		part = bpf_map_lookup_elem(&sources4, &nr);
		if (!part)
			return 0;
	}
	return part + (at & t->mask);
}

static __always_inline struct levee_bucket6 *bucket6(const struct levee_table *t, __u32 at)
{
	void *part = t->part;
	__u32 nr;

	if (!part) {
		nr = (t->row_nr << (geo.bits6 - geo.part6)) | (at >> 7 >> geo.part6);
		part = bpf_map_lookup_elem(&sources6, &nr);
		if (!part)
			return 0;
	}
	return part + (at & t->mask);
}

#endif
