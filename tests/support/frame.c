/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/frame.h"

#include <assert.h>
#include <string.h>

/* Where the frame ends so far, and where the number of the next header is to go. */
struct builder {
	uint8_t *frame;
	size_t len;
	size_t ip; /* offset of the IP header */
};

static uint8_t *append(struct builder *b, size_t n)
{
	uint8_t *at = b->frame + b->len;

	assert(b->len + n <= LEVEE_FRAME_MAX);
	memset(at, 0, n);
	b->len += n;
	return at;
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static void put64(uint8_t *at, uint64_t v)
{
	put32(at, (uint32_t)(v >> 32));
	put32(at + 4, (uint32_t)v);
}

static uint16_t checksum(const uint8_t *at, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void add_ethernet(struct builder *b, const struct levee_frame_spec *spec)
{
	static const uint8_t addresses[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	uint16_t type = spec->ethertype;

	if (!type)
		type = spec->family == 4 ? LEVEE_ETHERTYPE_IPV4 : LEVEE_ETHERTYPE_IPV6;
	memcpy(append(b, 12), addresses, 12);
	for (int i = 0; i < LEVEE_FRAME_TAGS && spec->tags[i]; i++) {
		uint8_t *tag = append(b, 4);

		put16(tag, spec->tags[i]);
		put16(tag + 2, (uint16_t)(100 + i));
	}
	put16(append(b, 2), type);
}

static void add_ipv4(struct builder *b, const struct levee_frame_spec *spec)
{
	size_t options = (size_t)spec->options * 4;
	uint8_t *ip = append(b, LEVEE_IPV4_LEN + options);

	ip[0] = (uint8_t)(0x40 | (5 + spec->options));
	put16(ip + 6, spec->fragment);
	ip[8] = 64;
	ip[9] = spec->proto;
	put32(ip + 12, (uint32_t)spec->hi);
	put32(ip + 16, 0xc0000201);		 /* 192.0.2.1 */
	memset(ip + LEVEE_IPV4_LEN, 1, options); /* no operation */
}

static void add_extension(struct builder *b, const struct levee_frame_ext *ext, uint8_t next)
{
	size_t len = ((size_t)ext->length + 1) * 8;
	uint8_t *h;

	if (ext->proto == LEVEE_PROTO_AH)
		len = ((size_t)ext->length + 2) * 4;
	if (ext->proto == LEVEE_PROTO_FRAGMENT)
		len = 8; /* its second byte is reserved, no length */
	if (len < 8)
		len = 8;
	h = append(b, len);
	h[0] = next;
	h[1] = ext->length;
	if (ext->proto == LEVEE_PROTO_FRAGMENT)
		put16(h + 2, ext->fragment);
}

static void add_ipv6(struct builder *b, const struct levee_frame_spec *spec)
{
	uint8_t *ip = append(b, LEVEE_IPV6_LEN);

	ip[0] = 0x60;
	ip[6] = spec->n_ext ? spec->ext[0].proto : spec->proto;
	ip[7] = 64;
	put64(ip + 8, spec->hi);
	put64(ip + 16, spec->lo);
	put64(ip + 24, 0x20010db800000000ULL);
	ip[39] = 1;
	for (int i = 0; i < spec->n_ext; i++)
		add_extension(b, &spec->ext[i],
			      i + 1 < spec->n_ext ? spec->ext[i + 1].proto : spec->proto);
}

static void add_transport(struct builder *b, const struct levee_frame_spec *spec)
{
	uint8_t *h;

	switch (spec->no_header ? LEVEE_PROTO_NONE : spec->proto) {
	case LEVEE_PROTO_TCP:
		h = append(b, 20);
		h[12] = 0x50;
		h[13] = spec->tcp_flags;
		break;
	case LEVEE_PROTO_UDP:
		h = append(b, 8);
		put16(h + 4, (uint16_t)(8 + spec->payload));
		break;
	case LEVEE_PROTO_ICMP:
	case LEVEE_PROTO_ICMPV6:
		h = append(b, 8);
		h[0] = spec->proto == LEVEE_PROTO_ICMP ? 8 : 128; /* echo request */
		return;
	default:
		return;
	}
	put16(h, spec->src_port);
	put16(h + 2, spec->dst_port);
}

/* Lengths and checksum, once all is there; then what was asked to be wrong. */
static void finish_ip(struct builder *b, const struct levee_frame_spec *spec)
{
	uint8_t *ip = b->frame + b->ip;
	size_t len = b->len - b->ip;

	if (spec->family == 4) {
		put16(ip + 2, (uint16_t)len);
		put16(ip + 10, checksum(ip, LEVEE_IPV4_LEN + (size_t)spec->options * 4));
	} else {
		put16(ip + 4, (uint16_t)(len - LEVEE_IPV6_LEN));
	}
	if (spec->first)
		ip[0] = (uint8_t)spec->first;
}

size_t levee_frame_build(const struct levee_frame_spec *spec, uint8_t frame[LEVEE_FRAME_MAX])
{
	struct builder b = { .frame = frame };

	add_ethernet(&b, spec);
	b.ip = b.len;
	if (spec->family == 4)
		add_ipv4(&b, spec);
	else if (spec->family == 6)
		add_ipv6(&b, spec);
	if (spec->family)
		add_transport(&b, spec);
	append(&b, spec->payload);
	if (spec->family)
		finish_ip(&b, spec);
	return spec->cut && spec->cut < b.len ? spec->cut : b.len;
}
