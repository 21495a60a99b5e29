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

LEVEE_ARRAY(rows, struct levee_row);		 /* epochs * cpus */
LEVEE_ARRAY(sources4, struct levee_bucket4);	 /* rows << bits4 */
LEVEE_ARRAY(sources6, struct levee_bucket6);	 /* rows << bits6 */
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

#endif
