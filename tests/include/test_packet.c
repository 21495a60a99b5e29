/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The classifier against the table of packets, and against a plain parser that is written down
 * another way: index by index, each byte asked for by position.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <levee/packet.h>

#include "tests/support/frame_cases.h"

#define SEED	     20260923U
#define RANDOM_TURNS 60000

struct seen {
	int result;
	struct levee_packet pkt;
};

/* Classify a copy whose last byte is the last of its block: reading on is seen by ASan. */
static struct seen classify(const uint8_t *frame, size_t len)
{
	uint8_t *block = malloc(len ? len : 1), *copy;
	struct seen seen;

	assert_non_null(block);
	copy = len ? block : block + 1;
	memcpy(copy, frame, len);
	memset(&seen, 0xa5, sizeof(seen));
	seen.result = levee_packet_source(&seen.pkt, copy, copy + len);
	if (!seen.result)
		levee_packet_flow(&seen.pkt, copy, copy + len);
	assert_memory_equal(copy, frame, len);
	free(block);
	return seen;
}

/* ---- the plain parser -------------------------------------------------------------------- */

struct plain {
	const uint8_t *frame;
	size_t len;
};

static int has(const struct plain *p, size_t from, size_t n)
{
	return from + n <= p->len;
}

static unsigned int two(const struct plain *p, size_t at)
{
	return p->frame[at] * 256U + p->frame[at + 1];
}

static uint64_t number(const struct plain *p, size_t at, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v * 256 + p->frame[at + i];
	return v;
}

static int plain_is_tag(unsigned int type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

static void plain_ports(const struct plain *p, struct levee_packet *pkt, size_t at)
{
	if ((pkt->proto != 6 && pkt->proto != 17) || !has(p, at, 4))
		return;
	pkt->dst_port = (uint16_t)two(p, at + 2);
	pkt->flags |= LEVEE_PKT_PORT;
	if (pkt->proto == 6 && has(p, at, 14))
		pkt->tcp_flags = p->frame[at + 13];
}

static void plain_proto(struct levee_packet *pkt, uint8_t proto)
{
	pkt->proto = proto;
	pkt->flags |= LEVEE_PKT_PROTO;
}

static void plain_flow6(const struct plain *p, struct levee_packet *pkt)
{
	size_t at = pkt->l3 + 40U;
	uint8_t next = p->frame[pkt->l3 + 6];
	unsigned int looked_through = 0;

	while (next == 0 || next == 43 || next == 44 || next == 51 || next == 60 || next == 135 ||
	       next == 139 || next == 140) {
		int fragment = next == 44;
		size_t len;

		if (!has(p, at, 8))
			return;
		if (fragment)
			pkt->flags |= LEVEE_PKT_FRAGMENT;
		if (fragment && two(p, at + 2) / 8 > 0) {
			plain_proto(pkt, p->frame[at]);
			return;
		}
		len = fragment ? 8 : (p->frame[at + 1] + 1U) * 8;
		if (next == 51)
			len = (p->frame[at + 1] + 2U) * 4;
		next = p->frame[at];
		at += len;
		if (++looked_through > LEVEE_EXT_MAX)
			return;
	}
	plain_proto(pkt, next);
	plain_ports(p, pkt, at);
}

static void plain_flow4(const struct plain *p, struct levee_packet *pkt)
{
	unsigned int word = two(p, pkt->l3 + 6U), offset = word % 8192;

	plain_proto(pkt, p->frame[pkt->l3 + 9]);
	if (offset || (word & 0x2000))
		pkt->flags |= LEVEE_PKT_FRAGMENT;
	if (!offset)
		plain_ports(p, pkt, pkt->l3 + (p->frame[pkt->l3] % 16U) * 4);
}

static struct seen plainly(const uint8_t *frame, size_t len)
{
	struct plain p = { frame, len };
	struct seen seen = { 0 };
	size_t at = 12;
	unsigned int tags = 0;

	if (!has(&p, 0, 14))
		return (struct seen){ .result = LEVEE_BAD_ETHERNET };
	for (; plain_is_tag(two(&p, at)); at += 4)
		if (++tags > 2 || !has(&p, at, 6))
			return (struct seen){ .result = LEVEE_BAD_VLAN };
	seen.pkt.l3 = (uint16_t)(at + 2);
	if (two(&p, at) == 0x0800) {
		at += 2;
		if (!has(&p, at, 20) || frame[at] / 16 != 4 || frame[at] % 16 < 5)
			return (struct seen){ .result = LEVEE_BAD_IPV4 };
		seen.pkt.family = 4;
		seen.pkt.hi = number(&p, at + 12, 4);
		plain_flow4(&p, &seen.pkt);
	} else if (two(&p, at) == 0x86dd) {
		at += 2;
		if (!has(&p, at, 40) || frame[at] / 16 != 6)
			return (struct seen){ .result = LEVEE_BAD_IPV6 };
		seen.pkt.family = 6;
		seen.pkt.hi = number(&p, at + 8, 8);
		seen.pkt.lo = number(&p, at + 16, 8);
		plain_flow6(&p, &seen.pkt);
	} else {
		seen.result = LEVEE_NOT_IP;
	}
	return seen;
}

static int is_same(const struct seen *a, const struct seen *b)
{
	const struct levee_packet *p = &a->pkt, *q = &b->pkt;

	if (a->result || b->result)
		return a->result == b->result;
	return p->hi == q->hi && p->lo == q->lo && p->l3 == q->l3 && p->dst_port == q->dst_port &&
	       p->family == q->family && p->proto == q->proto && p->flags == q->flags &&
	       p->tcp_flags == q->tcp_flags;
}

static void print_seen(const char *who, const struct seen *s)
{
	print_error("  %s: result %d, IPv%u at %u, source %016llx %016llx, protocol %u, port %u, "
		    "flags %#x, TCP flags %#x\n",
		    who, s->result, s->pkt.family, s->pkt.l3, (unsigned long long)s->pkt.hi,
		    (unsigned long long)s->pkt.lo, s->pkt.proto, s->pkt.dst_port, s->pkt.flags,
		    s->pkt.tcp_flags);
}

/* ---- the table --------------------------------------------------------------------------- */

static struct seen wanted(const struct levee_frame_case *c)
{
	struct seen seen = { .result = c->result };

	seen.pkt.l3 = LEVEE_ETH_LEN;
	for (int i = 0; i < LEVEE_FRAME_TAGS && c->spec.tags[i]; i++)
		seen.pkt.l3 = (uint16_t)(seen.pkt.l3 + LEVEE_VLAN_LEN);
	seen.pkt.hi = c->spec.hi;
	seen.pkt.lo = c->spec.lo;
	seen.pkt.family = c->spec.family;
	seen.pkt.flags = c->flags;
	seen.pkt.proto = c->proto;
	seen.pkt.dst_port = c->port;
	seen.pkt.tcp_flags = c->tcp_flags;
	return seen;
}

static void every_packet_of_the_table_is_seen_as_it_is(void **state)
{
	static uint8_t frame[LEVEE_FRAME_MAX];
	unsigned int wrong = 0;

	(void)state;
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		const struct levee_frame_case *c = &levee_frame_cases[i];
		struct seen want = wanted(c), got;

		got = classify(frame, levee_frame_build(&c->spec, frame));
		if (is_same(&want, &got))
			continue;
		print_error("%s\n", c->says);
		print_seen("wanted", &want);
		print_seen("got   ", &got);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void the_table_names_each_packet_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < levee_frame_cases_n; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(levee_frame_cases[i].says,
						levee_frame_cases[j].says);
}

static void check_plainly(const uint8_t *frame, size_t len, const char *says)
{
	struct seen want = plainly(frame, len), got = classify(frame, len);

	if (is_same(&want, &got))
		return;
	print_error("%s, %zu bytes\n", says, len);
	print_seen("wanted", &want);
	print_seen("got   ", &got);
	fail();
}

static void every_truncation_of_every_packet_is_safe_and_right(void **state)
{
	static uint8_t frame[LEVEE_FRAME_MAX];

	(void)state;
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		const struct levee_frame_case *c = &levee_frame_cases[i];
		size_t len = levee_frame_build(&c->spec, frame);

		/* Behind 300 bytes there is only payload, but for the longest extensions. */
		for (size_t cut = 0; cut <= len; cut += cut < 300 || len - cut < 100 ? 1 : 37)
			check_plainly(frame, cut, c->says);
	}
}

static void an_empty_frame_is_bad_ethernet(void **state)
{
	struct seen seen = classify((const uint8_t *)"", 0);

	(void)state;
	assert_int_equal(seen.result, LEVEE_BAD_ETHERNET);
}

static void every_first_byte_of_an_ip_header_is_judged_rightly(void **state)
{
	static uint8_t frame[LEVEE_FRAME_MAX];

	(void)state;
	for (unsigned int first = 0; first < 256; first++) {
		for (uint8_t family = 4; family <= 6; family += 2) {
			struct levee_frame_spec spec = { .family = family,
							 .first = LEVEE_FRAME_FIRST(first),
							 .proto = LEVEE_PROTO_UDP,
							 .payload = 60 };

			check_plainly(frame, levee_frame_build(&spec, frame), "first byte");
		}
	}
}

static void every_protocol_and_next_header_is_judged_rightly(void **state)
{
	static uint8_t frame[LEVEE_FRAME_MAX];

	(void)state;
	for (unsigned int proto = 0; proto < 256; proto++) {
		for (uint8_t family = 4; family <= 6; family += 2) {
			struct levee_frame_spec spec = { .family = family,
							 .proto = (uint8_t)proto,
							 .dst_port = 7,
							 .payload = 80 };

			check_plainly(frame, levee_frame_build(&spec, frame), "protocol");
		}
	}
}

static void every_ethertype_is_judged_rightly(void **state)
{
	static uint8_t frame[LEVEE_FRAME_MAX];

	(void)state;
	for (unsigned int type = 1; type < 65536; type++) {
		struct levee_frame_spec spec = { .ethertype = (uint16_t)type, .payload = 60 };

		check_plainly(frame, levee_frame_build(&spec, frame), "EtherType");
	}
}

/* ---- random packets ---------------------------------------------------------------------- */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

static struct levee_frame_spec random_spec(uint64_t *random)
{
	static const uint16_t tags[] = { 0, 0, 0x8100, 0x88a8, 0x9100 };
	static const uint8_t exts[] = { 0, 43, 44, 44, 51, 60, 135, 139, 140 };
	static const uint8_t protos[] = { 1, 6, 6, 17, 17, 47, 50, 58, 59, 0, 44, 60 };
	struct levee_frame_spec spec = {
		.family = next_random(random) & 1 ? 4 : 6,
		.hi = next_random(random),
		.options = (uint8_t)(next_random(random) % 11),
		.proto = protos[next_random(random) % sizeof(protos)],
		.dst_port = (uint16_t)next_random(random),
		.tcp_flags = (uint8_t)next_random(random),
		.n_ext = (uint8_t)(next_random(random) % LEVEE_FRAME_EXT),
		.payload = (uint16_t)(next_random(random) % 64),
	};

	for (int i = 0; i < LEVEE_FRAME_TAGS; i++)
		spec.tags[i] = tags[next_random(random) % 5];
	if (next_random(random) & 1)
		spec.fragment = (uint16_t)next_random(random);
	for (int i = 0; i < spec.n_ext; i++) {
		spec.ext[i].proto = exts[next_random(random) % sizeof(exts)];
		spec.ext[i].length = (uint8_t)(next_random(random) % 5);
		spec.ext[i].fragment = (uint16_t)(next_random(random) % 12);
	}
	return spec;
}

static void random_packets_with_random_damage_are_judged_rightly(void **state)
{
	static uint8_t frame[LEVEE_FRAME_MAX];
	uint64_t random = SEED;

	(void)state;
	print_message("seed %u\n", SEED);
	for (int turn = 0; turn < RANDOM_TURNS; turn++) {
		struct levee_frame_spec spec = random_spec(&random);
		size_t len = levee_frame_build(&spec, frame);

		for (uint32_t damage = next_random(&random) % 4; damage; damage--)
			frame[next_random(&random) % len] = (uint8_t)next_random(&random);
		if (next_random(&random) & 1)
			len = next_random(&random) % (len + 1);
		check_plainly(frame, len, "random packet");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_of_the_table_is_seen_as_it_is),
		cmocka_unit_test(the_table_names_each_packet_once),
		cmocka_unit_test(every_truncation_of_every_packet_is_safe_and_right),
		cmocka_unit_test(an_empty_frame_is_bad_ethernet),
		cmocka_unit_test(every_first_byte_of_an_ip_header_is_judged_rightly),
		cmocka_unit_test(every_protocol_and_next_header_is_judged_rightly),
		cmocka_unit_test(every_ethertype_is_judged_rightly),
		cmocka_unit_test(random_packets_with_random_damage_are_judged_rightly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
