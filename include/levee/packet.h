/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The packet classifier: one source of truth for every data path.
 *
 * It runs in two steps, because a blocked source is dropped whatever follows its address:
 *
 *	struct levee_packet pkt;
 *
 *	ret = levee_packet_source(&pkt, data, data_end);     who sent it
 *	if (ret < 0)                                         not IP, or not to be parsed: pass
 *		return;
 *	... allow list, block list ...
 *	levee_packet_flow(&pkt, data, data_end);             protocol and port, for the scope
 *
 * Understood: Ethernet II, up to two VLAN tags, IPv4 with options, IPv6 with extension headers,
 * fragments; TCP, UDP, ICMP and any other protocol. Nothing is read outside [data, data_end),
 * nothing is written, nothing is kept. All functions compile for BPF and for user space.
 */
#ifndef LEVEE_PACKET_H
#define LEVEE_PACKET_H

#include <levee/compiler.h>

#define LEVEE_ETH_LEN	       14
#define LEVEE_VLAN_LEN	       4
#define LEVEE_VLAN_MAX	       2
#define LEVEE_IPV4_LEN	       20
#define LEVEE_IPV6_LEN	       40
#define LEVEE_ETHERTYPE_IPV4   0x0800
#define LEVEE_ETHERTYPE_IPV6   0x86dd
#define LEVEE_ETHERTYPE_VLAN   0x8100 /* IEEE 802.1Q */
#define LEVEE_ETHERTYPE_QINQ   0x88a8 /* IEEE 802.1ad */
#define LEVEE_ETHERTYPE_QINQ_0 0x9100 /* before 802.1ad, still sent */

#define LEVEE_PROTO_HOPOPTS  0
#define LEVEE_PROTO_ICMP     1
#define LEVEE_PROTO_TCP	     6
#define LEVEE_PROTO_UDP	     17
#define LEVEE_PROTO_ROUTING  43
#define LEVEE_PROTO_FRAGMENT 44
#define LEVEE_PROTO_AH	     51
#define LEVEE_PROTO_ICMPV6   58
#define LEVEE_PROTO_NONE     59
#define LEVEE_PROTO_DSTOPTS  60
#define LEVEE_PROTO_MOBILITY 135
#define LEVEE_PROTO_HIP	     139
#define LEVEE_PROTO_SHIM6    140

/* Extension headers looked through; RFC 8200 section 4.1 lists seven in a full chain. */
#define LEVEE_EXT_MAX 8

/* levee_packet.tcp_flags */
#define LEVEE_TCP_SYN 0x02
#define LEVEE_TCP_ACK 0x10

/* levee_packet.flags */
#define LEVEE_PKT_FRAGMENT 0x01 /* a fragment, the first included */
#define LEVEE_PKT_PORT	   0x02 /* dst_port was read */
#define LEVEE_PKT_PROTO	   0x04 /* proto was read */

/* Why levee_packet_source() found no source. Negative, so that it reads as an error. */
enum levee_unparsed {
	LEVEE_NOT_IP = -1,	 /* another EtherType, or an IEEE 802.3 length: not ours to judge */
	LEVEE_BAD_ETHERNET = -2, /* shorter than an Ethernet header */
	LEVEE_BAD_VLAN = -3,	 /* a tag cut short, or more than LEVEE_VLAN_MAX of them */
	LEVEE_BAD_IPV4 = -4,	 /* cut short, another version, or a header length below 20 */
	LEVEE_BAD_IPV6 = -5,	 /* cut short, or another version */
	LEVEE_UNPARSED_MAX = 6,	 /* array size for counters indexed by -reason */
};

/**
 * What a data path knows of a packet.
 *
 * An IPv4 source is in hi as the address's number, 198.51.100.7 = 0xc6336407, with lo = 0. An IPv6
 * source is the number hi * 2^64 + lo, not yet masked to the configured prefix length.
 */
struct levee_packet {
	__u64 hi;
	__u64 lo;
	__u16 l3;	/* offset of the IP header [bytes] */
	__u16 dst_port; /* host order; valid with LEVEE_PKT_PORT */
	__u8 family;	/* 4 or 6 */
	__u8 proto;	/* IANA number behind all extension headers; valid with LEVEE_PKT_PROTO */
	__u8 flags;	/* LEVEE_PKT_* */
	__u8 tcp_flags; /* byte 13 of the TCP header, 0 where there is none */
};

levee_inline int levee_is_vlan(__u16 ethertype)
{
	return ethertype == LEVEE_ETHERTYPE_VLAN || ethertype == LEVEE_ETHERTYPE_QINQ ||
	       ethertype == LEVEE_ETHERTYPE_QINQ_0;
}

/*
 * The source of an IP header at `offset`, a constant wherever this is inlined: the verifier and
 * the compiler then see fixed offsets, which is what makes the usual packet cheap.
 */
levee_inline int levee_packet_ip(struct levee_packet *pkt, const __u8 *data, const __u8 *end,
				 __u16 ethertype, __u16 offset)
{
	const __u8 *ip = data + offset;

	pkt->l3 = offset;
	pkt->flags = 0;
	pkt->proto = 0;
	pkt->dst_port = 0;
	pkt->tcp_flags = 0;

	if (levee_likely(ethertype == LEVEE_ETHERTYPE_IPV4)) {
		if (ip + LEVEE_IPV4_LEN > end)
			return LEVEE_BAD_IPV4;
		/* version 4, header of 5 to 15 words */
		if (ip[0] < 0x45 || ip[0] > 0x4f)
			return LEVEE_BAD_IPV4;
		pkt->family = 4;
		pkt->hi = levee_be32(levee_load32(ip + 12));
		pkt->lo = 0;
		return 0;
	}
	if (ethertype == LEVEE_ETHERTYPE_IPV6) {
		if (ip + LEVEE_IPV6_LEN > end)
			return LEVEE_BAD_IPV6;
		if ((ip[0] >> 4) != 6)
			return LEVEE_BAD_IPV6;
		pkt->family = 6;
		pkt->hi = levee_be64(levee_load64(ip + 8));
		pkt->lo = levee_be64(levee_load64(ip + 16));
		return 0;
	}
	return levee_is_vlan(ethertype) ? LEVEE_BAD_VLAN : LEVEE_NOT_IP;
}

/* levee_packet_untagged(): there is a VLAN tag, ask levee_packet_tagged(). */
#define LEVEE_TAGGED 1

/** levee_packet_source() for frames without a VLAN tag, which are nearly all; else LEVEE_TAGGED. */
levee_inline int levee_packet_untagged(struct levee_packet *pkt, const void *data, const void *end)
{
	const __u8 *d = data, *e = end;
	__u16 ethertype;

	if (d + LEVEE_ETH_LEN > e)
		return LEVEE_BAD_ETHERNET;
	ethertype = levee_be16(levee_load16(d + 12));
	if (levee_likely(ethertype == LEVEE_ETHERTYPE_IPV4))
		return levee_packet_ip(pkt, d, e, LEVEE_ETHERTYPE_IPV4, LEVEE_ETH_LEN);
	if (levee_likely(ethertype == LEVEE_ETHERTYPE_IPV6))
		return levee_packet_ip(pkt, d, e, LEVEE_ETHERTYPE_IPV6, LEVEE_ETH_LEN);
	return levee_is_vlan(ethertype) ? LEVEE_TAGGED : LEVEE_NOT_IP;
}

/** levee_packet_source() for frames with a VLAN tag. */
levee_inline int levee_packet_tagged(struct levee_packet *pkt, const void *data, const void *end)
{
	const __u8 *d = data, *e = end;
	__u16 ethertype;

	if (d + LEVEE_ETH_LEN + LEVEE_VLAN_LEN > e)
		return LEVEE_BAD_VLAN;
	ethertype = levee_be16(levee_load16(d + 16));
	if (!levee_is_vlan(ethertype))
		return levee_packet_ip(pkt, d, e, ethertype, LEVEE_ETH_LEN + LEVEE_VLAN_LEN);

	if (d + LEVEE_ETH_LEN + 2 * LEVEE_VLAN_LEN > e)
		return LEVEE_BAD_VLAN;
	ethertype = levee_be16(levee_load16(d + 20));
	return levee_packet_ip(pkt, d, e, ethertype, LEVEE_ETH_LEN + 2 * LEVEE_VLAN_LEN);
}

/**
 * Find the source of an Ethernet frame.
 * \param pkt   filled on success; undefined otherwise
 * \param data  first byte of the destination MAC address
 * \param end   one past the last readable byte; a capture may hold less than the frame did
 * \return 0; a value of enum levee_unparsed (< 0) where there is no source to be had
 */
levee_inline int levee_packet_source(struct levee_packet *pkt, const void *data, const void *end)
{
	int ret = levee_packet_untagged(pkt, data, end);

	return levee_unlikely(ret == LEVEE_TAGGED) ? levee_packet_tagged(pkt, data, end) : ret;
}

/* Ports and TCP flags of the header at `l4`, as far as they are there. */
levee_inline void levee_packet_ports(struct levee_packet *pkt, const __u8 *l4, const __u8 *end)
{
	if (pkt->proto != LEVEE_PROTO_TCP && pkt->proto != LEVEE_PROTO_UDP)
		return;
	if (l4 + 4 > end)
		return;
	pkt->dst_port = levee_be16(levee_load16(l4 + 2));
	pkt->flags |= LEVEE_PKT_PORT;
	if (pkt->proto == LEVEE_PROTO_TCP && l4 + 14 <= end)
		pkt->tcp_flags = l4[13];
}

levee_inline void levee_packet_flow4(struct levee_packet *pkt, const __u8 *ip, const __u8 *end)
{
	__u16 frag;

	/* levee_packet_ip() saw these 20 bytes; the BPF verifier wants to see them again. */
	if (ip + LEVEE_IPV4_LEN > end)
		return;
	pkt->proto = ip[9];
	pkt->flags |= LEVEE_PKT_PROTO;
	frag = levee_be16(levee_load16(ip + 6));
	if (frag & 0x3fff) /* more fragments, or an offset */
		pkt->flags |= LEVEE_PKT_FRAGMENT;
	if (frag & 0x1fff) /* not the first: it carries no port */
		return;
	levee_packet_ports(pkt, ip + (ip[0] & 0x0f) * 4, end);
}

levee_inline void levee_packet_flow6(struct levee_packet *pkt, const __u8 *ip, const __u8 *end)
{
	const __u8 *h = ip + LEVEE_IPV6_LEN;
	__u8 next;

	if (h > end)
		return;
	next = ip[6];
	if (levee_likely(next == LEVEE_PROTO_TCP || next == LEVEE_PROTO_UDP)) {
		pkt->proto = next;
		pkt->flags |= LEVEE_PKT_PROTO;
		levee_packet_ports(pkt, h, end);
		return;
	}
	for (int i = 0; i <= LEVEE_EXT_MAX; i++) { /* the last turn is for what follows them */
		switch (next) {
		case LEVEE_PROTO_HOPOPTS:
		case LEVEE_PROTO_ROUTING:
		case LEVEE_PROTO_DSTOPTS:
		case LEVEE_PROTO_MOBILITY:
		case LEVEE_PROTO_HIP:
		case LEVEE_PROTO_SHIM6:
			if (h + 8 > end)
				return;
			next = h[0];
			h += ((__u32)h[1] + 1) * 8;
			break;
		case LEVEE_PROTO_AH: /* RFC 4302: in words of 4 bytes, less 2 */
			if (h + 8 > end)
				return;
			next = h[0];
			h += ((__u32)h[1] + 2) * 4;
			break;
		case LEVEE_PROTO_FRAGMENT:
			if (h + 8 > end)
				return;
			next = h[0];
			pkt->flags |= LEVEE_PKT_FRAGMENT;
			if (levee_be16(levee_load16(h + 2)) & 0xfff8) {
				/* Not the first: what follows is the middle of something. */
				pkt->proto = next;
				pkt->flags |= LEVEE_PKT_PROTO;
				return;
			}
			h += 8;
			break;
		default:
			pkt->proto = next;
			pkt->flags |= LEVEE_PKT_PROTO;
			levee_packet_ports(pkt, h, end);
			return;
		}
	}
}

/**
 * Read the protocol and, for TCP and UDP, the destination port.
 *
 * Nothing here makes a packet invalid: what could not be read lacks its flag. A later fragment
 * has a protocol and no port. A chain of extension headers that is cut short, or longer than
 * LEVEE_EXT_MAX, has neither.
 *
 * \param pkt  from levee_packet_source() on the same bytes
 */
levee_inline void levee_packet_flow(struct levee_packet *pkt, const void *data, const void *end)
{
	const __u8 *d = data, *e = end;

	/* One call for each constant offset, see levee_packet_ip(). */
	if (pkt->family == 4) {
		if (levee_likely(pkt->l3 == LEVEE_ETH_LEN))
			levee_packet_flow4(pkt, d + LEVEE_ETH_LEN, e);
		else if (pkt->l3 == LEVEE_ETH_LEN + LEVEE_VLAN_LEN)
			levee_packet_flow4(pkt, d + LEVEE_ETH_LEN + LEVEE_VLAN_LEN, e);
		else
			levee_packet_flow4(pkt, d + LEVEE_ETH_LEN + 2 * LEVEE_VLAN_LEN, e);
	} else {
		if (levee_likely(pkt->l3 == LEVEE_ETH_LEN))
			levee_packet_flow6(pkt, d + LEVEE_ETH_LEN, e);
		else if (pkt->l3 == LEVEE_ETH_LEN + LEVEE_VLAN_LEN)
			levee_packet_flow6(pkt, d + LEVEE_ETH_LEN + LEVEE_VLAN_LEN, e);
		else
			levee_packet_flow6(pkt, d + LEVEE_ETH_LEN + 2 * LEVEE_VLAN_LEN, e);
	}
}

#endif
