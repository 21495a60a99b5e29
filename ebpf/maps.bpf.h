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

/* Known before the program is loaded. */
const volatile struct levee_geometry geo = { .cpus = 1 };
const volatile int frags = 0; /* loaded with BPF_F_XDP_HAS_FRAGS */
const volatile int flows = 0; /* TCP headers are looked at, for the upper bits of tallies */

/*
 * A constant of 4 or 8 bytes, as two instructions that stay together: dataplane/xdp/rewrite.c makes
 * one of them, without a load. What it is, the compiler does not know.
 */
#define CONSTANT(symbol, offset, size)                          \
	({                                                      \
		__u64 _value;                                   \
		asm("%0 = %1 ll\n\t%0 = *(" size " *)(%0 + %2)" \
		    : "=r"(_value)                              \
		    : "i"(&(symbol)), "i"(offset));             \
		_value;                                         \
	})
#define GEO(field)   CONSTANT(geo, __builtin_offsetof(struct levee_geometry, field), "u32")
#define GEO64(field) CONSTANT(geo, __builtin_offsetof(struct levee_geometry, field), "u64")
#define FRAGS	     CONSTANT(frags, 0, "u32")
#define FLOWS	     CONSTANT(flows, 0, "u32")

/* The words of the hash key that a hash function uses; it is given no others. */
#define KEY(word)   .word = GEO64(key.word)
#define KEY_OF(...) (&(const struct levee_hash_key){ __VA_ARGS__ })
#define KEY_4	    KEY_OF(KEY(xor_in), KEY(mul_1))
#define KEY_6	    KEY_OF(KEY(xor_in), KEY(mul_1), KEY(mul_3))
#define KEY_AGAIN   KEY_OF(KEY(mul_2))
#define KEY_FAR6    KEY_OF(KEY(xor_in), KEY(mul_2))
#define KEY_RULE4   KEY_OF(KEY(xor_in), KEY(mul_3))
#define KEY_RULE6   KEY_OF(KEY(xor_in), KEY(mul_1), KEY(mul_2), KEY(mul_3))

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
 * All rows of a table are one value of its map, so that a bucket is an addition away and nothing
 * stands between two loads of a burst: with a look-up for each bucket a core has a quarter as many of
 * them under way. Where that is more than the kernel takes as a value, a row is one, or a part of
 * 2^part4 buckets. The loader says in the types how many there are.
 */
struct levee_account {
	struct levee_row row[1];
};

struct levee_part4 {
	struct levee_bucket4 bucket[1];
};

struct levee_part6 {
	struct levee_bucket6 bucket[1];
};

LEVEE_ARRAY(rows, struct levee_account);	 /* 1 */
LEVEE_ARRAY(sources4, struct levee_part4);	 /* 1, rows, or rows << (bits4 - part4) */
LEVEE_ARRAY(sources6, struct levee_part6);	 /* 1, rows, or rows << (bits6 - part6) */
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

/* ---- rows -------------------------------------------------------------------------------- */

/*
 * The address of a map's only value. In an XDP program dataplane/xdp/rewrite.c has the kernel give it
 * for the map's own; others ask for it.
 */
#ifdef LEVEE_MAPS_BY_LOOKUP
#define VALUE_OF(map)                                       \
	({                                                  \
		__u32 _zero = 0;                            \
		(void *)bpf_map_lookup_elem((map), &_zero); \
	})
#define IS_THERE(value) ((value) != 0)
#else
#define VALUE_OF(map)                   \
	({                              \
		void *_value = (map);   \
		asm("" : "+r"(_value)); \
		_value;                 \
	})
#define IS_THERE(value) 1
#endif

/*
 * The number of a row that there is, which it always is: there are rows for all CPUs. As assembly, so
 * that the verifier sees the bound in the register that is used then, and not in a copy of it.
 */
static __always_inline __u64 bound_row(__u64 nr)
{
	__u64 rows_n = GEO(rows);

	asm("if %0 < %1 goto +1\n\t%0 = 0" : "+r"(nr) : "r"(rows_n));
	return nr;
}

/* \param nr  of bound_row() */
static __always_inline int find_row_nr(struct levee_row **row, __u64 nr)
{
	void *all = VALUE_OF(&rows);

	if (!IS_THERE(all))
		return -1;
	*row = all + nr * sizeof(struct levee_row);
	return 0;
}

/*
 * Of a row: where its buckets are. 64 bits wide, or the verifier does not know any more what is put
 * aside in them.
 */
struct levee_table {
	void *base; /* of its only part; NULL if there are several */
	__u64 mask; /* of a part */
	__u64 row_nr;
};

/*
 * In its map, one value of which is all rows, a row, or a part of one.
 * \param row_nr  of bound_row()
 */
static __always_inline int find_table(struct levee_table *t, void *map, __u64 row_nr,
				      __u64 per_value, __u64 row_shift)
{
	__u32 nr = (__u32)row_nr;

	t->row_nr = row_nr;
	t->base = 0;
	if (levee_likely(per_value == LEVEE_ROWS)) {
		t->base = VALUE_OF(map);
		if (!IS_THERE(t->base))
			return -1;
		t->base += row_nr << row_shift;
	} else if (per_value == LEVEE_ROW) {
		t->base = bpf_map_lookup_elem(map, &nr);
		return t->base ? 0 : -1;
	}
	return 0;
}

static __always_inline int find_table4(struct levee_table *t, __u64 row_nr)
{
	t->mask = GEO(mask4);
	return find_table(t, &sources4, row_nr, GEO(per_value4), GEO(row_shift4));
}

static __always_inline int find_table6(struct levee_table *t, __u64 row_nr)
{
	t->mask = GEO(mask6);
	return find_table(t, &sources6, row_nr, GEO(per_value6), GEO(row_shift6));
}

/* The part of a row's table that its bucket `nr` is in. */
static __always_inline void *find_part(const struct levee_table *t, void *map, __u32 nr, __u64 bits,
				       __u64 part)
{
	nr = ((__u32)t->row_nr << (bits - part)) | (nr >> part);
	return bpf_map_lookup_elem(map, &nr);
}

static __always_inline int find_bucket4(struct levee_bucket4 **b, const struct levee_table *t,
					__u64 at)
{
	void *base = t->base;

	if (levee_unlikely(GEO(per_value4) == LEVEE_PART)) {
		base = find_part(t, &sources4, (__u32)(at >> 6), GEO(bits4), GEO(part4));
		if (!base)
			return -1;
	}
	*b = base + (at & t->mask);
	return 0;
}

static __always_inline int find_bucket6(struct levee_bucket6 **b, const struct levee_table *t,
					__u64 at)
{
	void *base = t->base;

	if (levee_unlikely(GEO(per_value6) == LEVEE_PART)) {
		base = find_part(t, &sources6, (__u32)(at >> 7), GEO(bits6), GEO(part6));
		if (!base)
			return -1;
	}
	*b = base + (at & t->mask);
	return 0;
}

#endif
