/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A packet is made by patching addresses, ports, lengths and checksums into a template. One
 * implementation for user space and for the live-frame program.
 */
#ifndef PKTGEN_PATCH_H
#define PKTGEN_PATCH_H

#include <levee/compiler.h>
#include <levee/packet.h>

#define PKTGEN_HEAD_MAX 128
/* No offset passes it; the BPF verifier wants to see that at every use. */
#define PKTGEN_OFFSET(x) ((x) & (PKTGEN_HEAD_MAX - 1))

/* Headers of one form, with zero wherever a packet differs from the next. */
struct pktgen_template {
	__u8 head[PKTGEN_HEAD_MAX];
	__u32 ip_sum; /* of the IPv4 header's 16-bit words, as numbers */
	__u32 l4_sum; /* of pseudo header and L4 header, without lengths and source */
	__u16 length; /* of the headers; no frame is shorter [bytes] */
	__u8 family;  /* 4 or 6 */
	__u8 proto;   /* IANA number */
	__u8 l3;      /* offsets [bytes] */
	__u8 l4;
	__u8 fragment; /* of the IPv6 fragment header; 0: none */
	__u8 checksum; /* of the L4 checksum; 0: a later fragment, without L4 header */
	__u8 _pad[4];
};

/* What differs from packet to packet. */
struct pktgen_fields {
	__u64 hi, lo; /* source address, as in struct levee_prefix */
	__u32 sequence;
	__u16 id;
	__u16 source_port; /* 0: that of the template */
};

levee_inline void pktgen_put16(__u8 *p, __u32 v)
{
	__u16 be = levee_be16(v);

	__builtin_memcpy(p, &be, sizeof(be));
}

levee_inline void pktgen_put32(__u8 *p, __u32 v)
{
	__u32 be = levee_be32(v);

	__builtin_memcpy(p, &be, sizeof(be));
}

levee_inline __u32 pktgen_sum32(__u32 v)
{
	return (v >> 16) + (v & 0xffff);
}

levee_inline __u32 pktgen_sum64(__u64 v)
{
	return pktgen_sum32((__u32)(v >> 32)) + pktgen_sum32((__u32)v);
}

/* RFC 1071. */
levee_inline __u32 pktgen_checksum(__u32 sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return ~sum & 0xffff;
}

levee_inline void pktgen_patch_ipv4(const struct pktgen_template *t, __u8 *ip, __u32 length,
				    const struct pktgen_fields *f)
{
	__u32 sum = t->ip_sum + length + f->id + pktgen_sum32((__u32)f->hi);

	pktgen_put16(ip + 2, length);
	pktgen_put16(ip + 4, f->id);
	pktgen_put16(ip + 10, pktgen_checksum(sum));
	pktgen_put32(ip + 12, (__u32)f->hi);
}

levee_inline void pktgen_patch_ipv6(__u8 *ip, __u32 length, const struct pktgen_fields *f)
{
	pktgen_put16(ip + 4, length - LEVEE_IPV6_LEN);
	pktgen_put32(ip + 8, (__u32)(f->hi >> 32));
	pktgen_put32(ip + 12, (__u32)f->hi);
	pktgen_put32(ip + 16, (__u32)(f->lo >> 32));
	pktgen_put32(ip + 20, (__u32)f->lo);
}

/* Ports, lengths, sequence numbers; returns what they add to the checksum. */
levee_inline __u32 pktgen_patch_l4(const struct pktgen_template *t, __u8 *l4, __u32 length,
				   const struct pktgen_fields *f)
{
	__u32 sum = f->source_port;

	if (t->proto != LEVEE_PROTO_TCP && t->proto != LEVEE_PROTO_UDP) {
		pktgen_put32(l4 + 4, f->sequence); /* echo: identifier and sequence number */
		return pktgen_sum32(f->sequence);
	}
	if (f->source_port)
		pktgen_put16(l4, f->source_port);
	if (t->proto == LEVEE_PROTO_UDP) {
		pktgen_put16(l4 + 4, length);
		return sum + length;
	}
	pktgen_put32(l4 + 4, f->sequence);
	return sum + pktgen_sum32(f->sequence);
}

/**
 * Patch a frame that began as a copy of t->head, zero after it.
 * \param frame   of at least PKTGEN_HEAD_MAX bytes, whatever the length
 * \param length  of the frame, at least t->length [bytes]
 */
levee_inline void pktgen_frame_patch(const struct pktgen_template *t, __u8 *frame, __u32 length,
				     const struct pktgen_fields *f)
{
	__u32 l3_length = length - t->l3, l4_length = length - t->l4, sum;
	__u8 *l3 = frame + PKTGEN_OFFSET(t->l3);

	if (t->family == 4)
		pktgen_patch_ipv4(t, l3, l3_length, f);
	else
		pktgen_patch_ipv6(l3, l3_length, f);
	if (t->fragment)
		pktgen_put32(frame + PKTGEN_OFFSET(t->fragment) + 4, f->sequence);
	if (!t->checksum)
		return;
	sum = t->l4_sum + pktgen_patch_l4(t, frame + PKTGEN_OFFSET(t->l4), l4_length, f);
	if (t->proto != LEVEE_PROTO_ICMP) /* the pseudo header's part that varies */
		sum += l4_length + pktgen_sum64(f->hi) + pktgen_sum64(f->lo);
	sum = pktgen_checksum(sum);
	if (sum == 0 && t->proto == LEVEE_PROTO_UDP)
		sum = 0xffff; /* 0 would say that there is none (RFC 768) */
	pktgen_put16(frame + PKTGEN_OFFSET(t->checksum), sum);
}

#endif
