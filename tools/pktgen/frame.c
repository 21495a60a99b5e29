/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/frame.h"

#include <string.h>

#include <levee/packet.h>

/* Where a later fragment claims to begin: behind 1480 bytes, in units of 8 (RFC 791). */
#define LATER_OFFSET 185

/* Sum of 16-bit words, to be folded later; n is even. */
static uint32_t sum_bytes(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	return sum;
}

static void put64(uint8_t *p, uint64_t v)
{
	pktgen_put32(p, (uint32_t)(v >> 32));
	pktgen_put32(p + 4, (uint32_t)v);
}

static size_t make_ethernet(uint8_t *head, const struct pktgen_population *p)
{
	size_t at = 12;

	memcpy(head, p->destination_mac, 6);
	memcpy(head + 6, p->source_mac, 6);
	for (unsigned int i = 0; i < p->vlans; i++, at += LEVEE_VLAN_LEN) {
		/* The outer of two tags is a service tag (IEEE 802.1ad). */
		pktgen_put16(head + at,
			     p->vlans == 2 && i == 0 ? LEVEE_ETHERTYPE_QINQ : LEVEE_ETHERTYPE_VLAN);
		pktgen_put16(head + at + 2, p->vlan[i]);
	}
	pktgen_put16(head + at,
		     p->destination.family == 4 ? LEVEE_ETHERTYPE_IPV4 : LEVEE_ETHERTYPE_IPV6);
	return at + 2;
}

static uint8_t proto_number(enum pktgen_protocol protocol, uint8_t family)
{
	if (protocol == PKTGEN_TCP)
		return LEVEE_PROTO_TCP;
	if (protocol == PKTGEN_UDP)
		return LEVEE_PROTO_UDP;
	return family == 4 ? LEVEE_PROTO_ICMP : LEVEE_PROTO_ICMPV6;
}

static size_t make_ipv4(struct pktgen_template *t, const struct pktgen_population *p,
			enum pktgen_fragment fragment, bool extended)
{
	/* A router alert (RFC 2113), padded to a word. */
	static const uint8_t options[8] = { 148, 4, 0, 0, 1, 1, 1, 0 };
	uint8_t *ip = t->head + t->l3;
	size_t length = LEVEE_IPV4_LEN;

	if (extended) {
		memcpy(ip + length, options, sizeof(options));
		length += sizeof(options);
	}
	ip[0] = (uint8_t)(0x40 | length / 4);
	if (fragment == PKTGEN_FIRST)
		pktgen_put16(ip + 6, 0x2000);
	else if (fragment == PKTGEN_LATER)
		pktgen_put16(ip + 6, LATER_OFFSET);
	else
		pktgen_put16(ip + 6, 0x4000); /* do not fragment */
	ip[8] = 64;
	ip[9] = t->proto;
	pktgen_put32(ip + 16, (uint32_t)p->destination.hi);
	t->ip_sum = sum_bytes(ip, length);
	return length;
}

static size_t make_ipv6(struct pktgen_template *t, const struct pktgen_population *p,
			enum pktgen_fragment fragment, bool extended)
{
	uint8_t *ip = t->head + t->l3;
	uint8_t *next = ip + 6;
	size_t at = LEVEE_IPV6_LEN;

	ip[0] = 0x60;
	ip[7] = 64;
	put64(ip + 24, p->destination.hi);
	put64(ip + 32, p->destination.lo);
	if (extended) {
		/* Hop-by-hop and destination options, each nothing but a PadN of six bytes. */
		for (int i = 0; i < 2; i++, at += 8) {
			*next = i == 0 ? LEVEE_PROTO_HOPOPTS : LEVEE_PROTO_DSTOPTS;
			next = ip + at;
			ip[at + 2] = 1;
			ip[at + 3] = 4;
		}
	}
	if (fragment != PKTGEN_WHOLE) {
		*next = LEVEE_PROTO_FRAGMENT;
		next = ip + at;
		pktgen_put16(ip + at + 2, fragment == PKTGEN_FIRST ? 1 : LATER_OFFSET << 3);
		t->fragment = (uint8_t)(t->l3 + at);
		at += 8;
	}
	*next = t->proto;
	return at;
}

/* Returns the header's length; what is checksummed but varies is added by the patch. */
static size_t make_l4(struct pktgen_template *t, const struct pktgen_population *p)
{
	uint8_t *l4 = t->head + t->l4;

	switch (t->proto) {
	case LEVEE_PROTO_TCP:
		pktgen_put16(l4, p->source_port);
		pktgen_put16(l4 + 2, p->port);
		l4[12] = 5 << 4;
		l4[13] = p->tcp_flags;
		pktgen_put16(l4 + 14, 65535); /* window */
		t->checksum = (uint8_t)(t->l4 + 16);
		return 20;
	case LEVEE_PROTO_UDP:
		pktgen_put16(l4, p->source_port);
		pktgen_put16(l4 + 2, p->port);
		t->checksum = (uint8_t)(t->l4 + 6);
		return 8;
	default: /* echo request */
		l4[0] = t->proto == LEVEE_PROTO_ICMP ? 8 : 128;
		t->checksum = (uint8_t)(t->l4 + 2);
		return 8;
	}
}

void pktgen_template_make(struct pktgen_template *t, const struct pktgen_population *p,
			  enum pktgen_protocol protocol, enum pktgen_fragment fragment,
			  bool extended)
{
	size_t length;

	memset(t, 0, sizeof(*t));
	t->family = p->destination.family;
	t->proto = proto_number(protocol, t->family);
	t->l3 = (uint8_t)make_ethernet(t->head, p);
	length = t->family == 4 ? make_ipv4(t, p, fragment, extended)
				: make_ipv6(t, p, fragment, extended);
	t->l4 = (uint8_t)(t->l3 + length);
	t->length = t->l4;
	if (fragment == PKTGEN_LATER)
		return;
	length = make_l4(t, p);
	t->length = (uint16_t)(t->l4 + length);
	t->l4_sum = sum_bytes(t->head + t->l4, length);
	if (t->proto != LEVEE_PROTO_ICMP) /* IPv4's has no pseudo header */
		t->l4_sum += (uint32_t)t->proto + pktgen_sum64(p->destination.hi) +
			     pktgen_sum64(p->destination.lo);
}

void pktgen_template_make_form(struct pktgen_template *t, const struct pktgen_population *p,
			       unsigned int form)
{
	pktgen_template_make(t, p, (enum pktgen_protocol)(form / 2 / PKTGEN_FRAGMENTS),
			     (enum pktgen_fragment)(form / 2 % PKTGEN_FRAGMENTS), form & 1);
}

double pktgen_form_share(const struct pktgen_population *p, unsigned int form)
{
	double extended = p->prefix.family == 4 ? p->options : p->extensions;
	double share = p->weight[form / 2 / PKTGEN_FRAGMENTS];

	share *= form / 2 % PKTGEN_FRAGMENTS == PKTGEN_WHOLE ? 1 - p->fragments : p->fragments / 2;
	return share * (form & 1 ? extended : 1 - extended);
}
