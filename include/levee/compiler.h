/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What BPF and user space need to agree on before they can share code: fixed-width types,
 * byte order, and the few accessors that keep a compiler from tearing a shared word.
 */
#ifndef LEVEE_COMPILER_H
#define LEVEE_COMPILER_H

#include <linux/types.h>

#define levee_inline static inline __attribute__((always_inline))

#define levee_likely(x)	  __builtin_expect(!!(x), 1)
#define levee_unlikely(x) __builtin_expect(!!(x), 0)

#define LEVEE_CACHE_LINE 64

/* Both sides of a pinned map run on one machine, so host order is the same on both. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define levee_be16(x) __builtin_bswap16((__u16)(x))
#define levee_be32(x) __builtin_bswap32((__u32)(x))
#define levee_be64(x) __builtin_bswap64((__u64)(x))
#else
#define levee_be16(x) ((__u16)(x))
#define levee_be32(x) ((__u32)(x))
#define levee_be64(x) ((__u64)(x))
#endif

/* One aligned word that another CPU may write: load or store it whole, once. */
#define levee_read_once(x)     (*(const volatile __typeof__(x) *)&(x))
#define levee_write_once(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/*
 * Unaligned loads out of a packet, each a single load. Of a memcpy() from an address whose
 * alignment it does not know, clang makes a load for each byte when it compiles for BPF. So there
 * it gets a plain load; the kernel's verifier refuses those on machines that cannot do them.
 */
#ifdef __bpf__
#define LEVEE_LOAD(type, p) (*(const type __attribute__((__may_alias__)) *)(p))
#else
#define LEVEE_LOAD(type, p)                                   \
	({                                                    \
		type _value;                                  \
                                                              \
		__builtin_memcpy(&_value, p, sizeof(_value)); \
		_value;                                       \
	})
#endif

levee_inline __u16 levee_load16(const void *p)
{
	return LEVEE_LOAD(__u16, p);
}

levee_inline __u32 levee_load32(const void *p)
{
	return LEVEE_LOAD(__u32, p);
}

levee_inline __u64 levee_load64(const void *p)
{
	return LEVEE_LOAD(__u64, p);
}

#endif
