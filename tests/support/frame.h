/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ethernet frames for tests, from a description: good ones by default, bad ones on request.
 *
 *	struct levee_frame_spec spec = { .family = 4, .hi = 0xc6336407, .proto = LEVEE_PROTO_UDP,
 *					 .dst_port = 53, .tags = { 0x8100 } };
 *	uint8_t frame[LEVEE_FRAME_MAX];
 *	size_t len = levee_frame_build(&spec, frame);
 */
#ifndef LEVEE_TESTS_FRAME_H
#define LEVEE_TESTS_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include <levee/packet.h>

#define LEVEE_FRAME_MAX	     9300
#define LEVEE_FRAME_TAGS     3
#define LEVEE_FRAME_EXT	     12
#define LEVEE_FRAME_OPTIONS  10 /* words of IPv4 options, the most that there can be */
#define LEVEE_FRAME_FIRST(x) ((uint16_t)(0x100 | (x)))

/* An IPv6 extension header. */
struct levee_frame_ext {
	uint8_t proto;	   /* its number; 0 is hop-by-hop, see levee_frame_spec.n_ext */
	uint8_t length;	   /* the length field as it stands in the header; filled with zeros */
	uint16_t fragment; /* of a fragment header: offset in bytes (a multiple of 8), | 1: more */
};

struct levee_frame_spec {
	uint16_t tags[LEVEE_FRAME_TAGS]; /* EtherTypes of VLAN tags, 0 ends */
	uint16_t ethertype;		 /* 0: what the family has */
	uint8_t family;			 /* 4 or 6; 0: no IP header, only payload */
	uint16_t first;			 /* LEVEE_FRAME_FIRST(first byte of the IP header) */

	uint64_t hi, lo; /* source, as in struct levee_packet */

	uint8_t options;   /* words of IPv4 options */
	uint16_t fragment; /* IPv4: flags and offset, as in the header */

	struct levee_frame_ext ext[LEVEE_FRAME_EXT];
	uint8_t n_ext;

	uint8_t proto;	   /* TCP, UDP, ICMP and ICMPv6 get a header; others only payload */
	uint8_t no_header; /* not even those */
	uint16_t src_port, dst_port;
	uint8_t tcp_flags;
	uint16_t payload; /* bytes of it */
	uint16_t cut;	  /* captured bytes; 0: all */
};

/** \return length of the frame [bytes], spec->cut if that is less */
size_t levee_frame_build(const struct levee_frame_spec *spec, uint8_t frame[LEVEE_FRAME_MAX]);

#endif
