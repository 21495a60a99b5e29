/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames, good and hostile, through the XDP program as the kernel runs it: the verdict, the one
 * counter of the account that moves, and the source that gets the packet. What is expected comes
 * from the table of tests/support/frame_cases.c, and for damaged frames from the same classifier,
 * policy and scope in user space: two data paths, one answer.
 *
 * The kernel runs no frame below 14 bytes (LEVEE_XDP_RUN_MIN), which no NIC delivers either;
 * tests/include/test_packet.c has those. Of a frame of several pages the program sees the first,
 * less head and tail room, and the length of the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <cmocka.h>

#include "tests/support/frame.h"
#include "tests/support/frame_cases.h"
#include "tests/support/xdp.h"

#define SEED	     20261123U
#define RANDOM_TURNS 60000
#define FOUND_MAX    4

static struct levee_xdp_fixture fixture;
static uint8_t frame[LEVEE_FRAME_MAX];

static int close_fixture(void **state)
{
	(void)state;
	levee_xdp_fixture_close(&fixture);
	return 0;
}

static void open_fixture(void)
{
	levee_xdp_fixture_open(&fixture, &(struct levee_xdp_sizes){ .sources = 8 });
}

/* ---- what one packet did ----------------------------------------------------------------- */

struct found {
	size_t n;
	struct found_source {
		struct levee_prefix source;
		uint64_t packets;
		uint64_t bytes;
	} at[FOUND_MAX];
};

struct effect {
	uint32_t verdict; /* XDP_PASS, XDP_DROP */
	struct levee_account account;
	struct found found;
};

static int on_source(void *ctx, const struct levee_prefix *source,
		     const struct levee_counts *counts)
{
	struct found *found = ctx;

	/* What waits for its burst comes packet by packet. */
	for (size_t i = 0; i < found->n; i++)
		if (!levee_prefix_compare(&found->at[i].source, source)) {
			found->at[i].packets += counts->packets;
			found->at[i].bytes += counts->bytes;
			return 0;
		}
	assert_true(found->n < FOUND_MAX);
	found->at[found->n].source = *source;
	found->at[found->n].packets = counts->packets;
	found->at[found->n].bytes = counts->bytes;
	found->n++;
	return 0;
}

static void run(size_t len, struct effect *effect)
{
	struct levee_sink sink = { .source = on_source, .ctx = &effect->found };

	memset(effect, 0, sizeof(*effect));
	effect->verdict = levee_xdp_run(&fixture, frame, len);
	levee_xdp_take(&fixture, &sink, &effect->account);
}

static void print_effect(const char *who, const struct effect *e)
{
	const struct levee_account *a = &e->account;
	char text[LEVEE_PREFIX_TEXT];

	print_error("  %s: verdict %u, received %llu (%llu bytes), counted %llu, dropped %llu "
		    "(%llu bytes), allowed %llu, out of scope %llu, unparsed %llu, would drop "
		    "%llu, port unknown %llu, reasons",
		    who, e->verdict, (unsigned long long)a->received,
		    (unsigned long long)a->received_bytes,
		    (unsigned long long)a->outcome[LEVEE_COUNTED],
		    (unsigned long long)a->outcome[LEVEE_DROPPED],
		    (unsigned long long)a->dropped_bytes,
		    (unsigned long long)a->outcome[LEVEE_ALLOWED],
		    (unsigned long long)a->outcome[LEVEE_OUT_OF_SCOPE],
		    (unsigned long long)a->outcome[LEVEE_UNPARSED],
		    (unsigned long long)a->would_drop, (unsigned long long)a->port_unknown);
	for (int i = 0; i < LEVEE_UNPARSED_MAX; i++)
		print_error(" %llu", (unsigned long long)a->reasons[i]);
	for (size_t i = 0; i < e->found.n; i++)
		print_error(", %s %llu packets %llu bytes",
			    levee_prefix_format(&e->found.at[i].source, text),
			    (unsigned long long)e->found.at[i].packets,
			    (unsigned long long)e->found.at[i].bytes);
	print_error("\n");
}

/* Both were memset, and hold no padding that differs. */
static void assert_effect(size_t len, const struct effect *want, const struct effect *got,
			  const char *says)
{
	bool same = want->verdict == got->verdict &&
		    !memcmp(&want->account, &got->account, sizeof(want->account)) &&
		    want->found.n == got->found.n;

	for (size_t i = 0; same && i < want->found.n; i++)
		same = !levee_prefix_compare(&want->found.at[i].source, &got->found.at[i].source) &&
		       want->found.at[i].packets == got->found.at[i].packets &&
		       want->found.at[i].bytes == got->found.at[i].bytes;
	if (same)
		return;
	print_error("%s, %zu bytes:", says, len);
	for (size_t i = 0; i < len && i < 160; i++)
		print_error(" %02x", frame[i]);
	print_error("\n");
	print_effect("wanted", want);
	print_effect("got   ", got);
	fail();
}

/* ---- what it should do ------------------------------------------------------------------- */

static void expect_received(size_t len, struct effect *e)
{
	memset(e, 0, sizeof(*e));
	e->verdict = XDP_PASS;
	e->account.received = 1;
	e->account.received_bytes = len;
}

static void expect_unparsed(int reason, struct effect *e)
{
	e->account.reasons[-reason] = 1;
	e->account.outcome[reason == LEVEE_NOT_IP ? LEVEE_OUT_OF_SCOPE : LEVEE_UNPARSED] = 1;
}

static void expect_counted(size_t len, uint8_t family, uint64_t hi, uint64_t lo, struct effect *e)
{
	struct levee_prefix source = { .hi = hi, .lo = lo, .family = family };

	source.length = family == 4 ? 32 : fixture.dp->source6_length;
	levee_prefix_canon(&source);
	e->account.outcome[LEVEE_COUNTED] = 1;
	e->found.n = 1;
	e->found.at[0].source = source;
	e->found.at[0].packets = 1;
	e->found.at[0].bytes = len;
}

/* The data path of the header of handle.bpf.h, in user space. */
struct settings {
	struct levee_policy_memory memory;
	struct levee_scope scope;
	bool audit;
};

static void expect(const struct settings *s, size_t len, struct effect *e)
{
	size_t linear = levee_xdp_linear_bytes();
	const uint8_t *end = frame + (len < linear ? len : linear);
	struct levee_packet pkt;
	enum levee_verdict verdict;
	int ret;

	expect_received(len, e);
	ret = levee_packet_source(&pkt, frame, end);
	if (ret < 0) {
		expect_unparsed(ret, e);
		return;
	}
	verdict = levee_policy_lookup(&s->memory, pkt.family, pkt.hi, pkt.lo, 1, len,
				      levee_xdp_now_ns(), 0);
	if (verdict == LEVEE_VERDICT_ALLOW) {
		e->account.outcome[LEVEE_ALLOWED] = 1;
		return;
	}
	if (verdict == LEVEE_VERDICT_BLOCK && !s->audit) {
		e->verdict = XDP_DROP;
		e->account.outcome[LEVEE_DROPPED] = 1;
		e->account.dropped_bytes = len;
		return;
	}
	e->account.would_drop = verdict == LEVEE_VERDICT_BLOCK;
	levee_packet_flow(&pkt, frame, end);
	ret = s->scope.enabled ? levee_scope_has(&s->scope, &pkt) : 1;
	e->account.port_unknown = ret == 2;
	if (ret)
		expect_counted(len, pkt.family, pkt.hi, pkt.lo, e);
	else
		e->account.outcome[LEVEE_OUT_OF_SCOPE] = 1;
}

static void check(const struct settings *s, size_t len, const char *says)
{
	struct effect want, got;

	if (len < LEVEE_XDP_RUN_MIN ||
	    (len > levee_xdp_linear_bytes() && !levee_xdp_has_frags(&fixture)))
		return;
	expect(s, len, &want);
	run(len, &got);
	assert_effect(len, &want, &got, says);
}

/* ---- settings that make a difference ----------------------------------------------------- */

static struct levee_prefix prefix_of(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static void block(const char *text, uint64_t expires_ns)
{
	struct levee_prefix p = prefix_of(text);

	assert_int_equal(levee_policy_block(levee_dataplane_policy(fixture.dp), &p, expires_ns, 1),
			 0);
}

/* Half of what the tables send is blocked, some of that allowed, some blocks are over. */
static void use_policy(void)
{
	struct levee_prefix allowed[] = { prefix_of("198.51.100.64/26"),
					  prefix_of("255.255.255.255"),
					  prefix_of("2001:db8:1:aa:8000::/65"),
					  prefix_of("::/127") };

	assert_int_equal(levee_policy_set_allowed(levee_dataplane_policy(fixture.dp), allowed,
						  sizeof(allowed) / sizeof(allowed[0])),
			 0);
	block("198.51.100.0/24", LEVEE_NEVER);
	block("198.51.100.8/31", 1);
	block("0.0.0.0", LEVEE_NEVER);
	block("224.0.0.0/3", LEVEE_NEVER);
	block("2001:db8:1:aa::/64", LEVEE_NEVER);
	block("ffff::/16", LEVEE_NEVER);
	block("::/96", LEVEE_NEVER);
}

/* TCP 443 and 1024 to 2047, UDP 53, all of ICMP and ICMPv6, and the first protocol of all. */
static const struct levee_scope *narrow_scope(void)
{
	static struct levee_scope scope;

	memset(&scope, 0, sizeof(scope));
	scope.enabled = 1;
	scope.whole[0] = 1ULL << LEVEE_PROTO_ICMP | 1ULL << LEVEE_PROTO_ICMPV6 | 1;
	scope.part[0] = 1ULL << LEVEE_PROTO_TCP | 1ULL << LEVEE_PROTO_UDP;
	scope.tcp[443 / 64] |= 1ULL << (443 % 64);
	for (int i = 1024 / 64; i < 2048 / 64; i++)
		scope.tcp[i] = ~0ULL;
	scope.udp[53 / 64] |= 1ULL << 53;
	return &scope;
}

/* The four combinations of scope and audit; bit 2: with a policy, which then stays. */
static void use_settings(unsigned int nr, struct settings *s)
{
	memset(s, 0, sizeof(*s));
	if (nr & 1)
		s->scope = *narrow_scope();
	s->audit = nr & 2;
	if (nr & 4)
		use_policy();
	fixture.dp->ops->set_scope(fixture.dp, &s->scope);
	fixture.dp->ops->set_audit(fixture.dp, s->audit);
	levee_xdp_memory(&fixture, &s->memory);
}

/* ---- the table --------------------------------------------------------------------------- */

static void every_packet_of_the_table_does_what_the_table_says(void **state)
{
	struct effect want, got;

	(void)state;
	open_fixture();
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		const struct levee_frame_case *c = &levee_frame_cases[i];
		size_t len = levee_frame_build(&c->spec, frame);

		if (len < LEVEE_XDP_RUN_MIN ||
		    (len > levee_xdp_linear_bytes() && !levee_xdp_has_frags(&fixture)))
			continue;
		expect_received(len, &want);
		if (c->result)
			expect_unparsed(c->result, &want);
		else
			expect_counted(len, c->spec.family, c->spec.hi, c->spec.lo, &want);
		run(len, &got);
		assert_effect(len, &want, &got, c->says);
	}
}

static void a_blocked_source_is_dropped_whatever_follows_its_address(void **state)
{
	struct effect want, got;
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(1, &s);
	block("0.0.0.0/0", LEVEE_NEVER);
	block("::/0", LEVEE_NEVER);
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		const struct levee_frame_case *c = &levee_frame_cases[i];
		size_t len = levee_frame_build(&c->spec, frame);

		if (c->result || (len > levee_xdp_linear_bytes() && !levee_xdp_has_frags(&fixture)))
			continue;
		expect_received(len, &want);
		want.verdict = XDP_DROP;
		want.account.outcome[LEVEE_DROPPED] = 1;
		want.account.dropped_bytes = len;
		run(len, &got);
		assert_effect(len, &want, &got, c->says);
	}
}

static void what_cannot_be_parsed_passes_even_if_everybody_is_blocked(void **state)
{
	struct effect want, got;
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(0, &s);
	block("0.0.0.0/0", LEVEE_NEVER);
	block("::/0", LEVEE_NEVER);
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		const struct levee_frame_case *c = &levee_frame_cases[i];
		size_t len = levee_frame_build(&c->spec, frame);

		if (!c->result || len < LEVEE_XDP_RUN_MIN)
			continue;
		expect_received(len, &want);
		expect_unparsed(c->result, &want);
		run(len, &got);
		assert_effect(len, &want, &got, c->says);
	}
}

static void every_truncation_of_every_packet_is_as_in_user_space(void **state)
{
	struct settings s;

	(void)state;
	open_fixture();
	for (unsigned int nr = 4; nr < 8; nr++) {
		use_settings(nr, &s);
		for (size_t i = 0; i < levee_frame_cases_n; i++) {
			const struct levee_frame_case *c = &levee_frame_cases[i];
			size_t len = levee_frame_build(&c->spec, frame);

			for (size_t cut = LEVEE_XDP_RUN_MIN; cut <= len;
			     cut += cut < 300 || len - cut < 40 ? 1 : 37)
				check(&s, cut, c->says);
		}
	}
}

/* ---- families of hostile packets --------------------------------------------------------- */

static void every_first_byte_of_an_ip_header_is_as_in_user_space(void **state)
{
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(5, &s);
	for (unsigned int first = 0; first < 256; first++)
		for (uint8_t family = 4; family <= 6; family += 2)
			for (uint16_t payload = 0; payload <= 60; payload += 20) {
				struct levee_frame_spec spec = { .family = family,
								 .first = LEVEE_FRAME_FIRST(first),
								 .proto = LEVEE_PROTO_UDP,
								 .payload = payload };

				check(&s, levee_frame_build(&spec, frame), "first byte");
			}
}

static void every_stack_of_tags_is_as_in_user_space(void **state)
{
	static const uint16_t types[] = { 0, 0x8100, 0x88a8, 0x9100, 0x9200, 0x0800, 0x86dd, 5 };
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(5, &s);
	for (unsigned int nr = 0; nr < 8 * 8 * 8 * 2; nr++) {
		struct levee_frame_spec spec = { .family = nr & 1 ? 4 : 6,
						 .hi = nr & 1 ? 0xc6336407 : 0x20010db8000100aa,
						 .tags = { types[nr >> 1 & 7], types[nr >> 4 & 7],
							   types[nr >> 7 & 7] },
						 .proto = LEVEE_PROTO_TCP,
						 .dst_port = 443 };

		check(&s, levee_frame_build(&spec, frame), "tags");
	}
}

static void every_ethertype_is_as_in_user_space(void **state)
{
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(4, &s);
	for (unsigned int type = 1; type < 65536; type += type < 1600 ? 1 : 7) {
		struct levee_frame_spec spec = { .ethertype = (uint16_t)type, .payload = 60 };

		check(&s, levee_frame_build(&spec, frame), "EtherType");
	}
}

static void every_protocol_is_as_in_user_space(void **state)
{
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(5, &s);
	for (unsigned int proto = 0; proto < 256; proto++)
		for (uint8_t family = 4; family <= 6; family += 2) {
			struct levee_frame_spec spec = { .family = family,
							 .hi = 0x0a000001,
							 .proto = (uint8_t)proto,
							 .dst_port = 443,
							 .payload = 80 };

			check(&s, levee_frame_build(&spec, frame), "protocol");
		}
}

static void chains_of_extension_headers_are_followed_up_to_the_limit(void **state)
{
	static const uint8_t exts[] = { 0, 43, 44, 51, 60, 135, 139, 140 };
	struct effect got;
	struct settings s;

	(void)state;
	open_fixture();
	use_settings(1, &s);
	for (size_t i = 0; i < sizeof(exts); i++) {
		for (uint8_t n = 0; n <= LEVEE_FRAME_EXT; n++) {
			struct levee_frame_spec spec = { .family = 6,
							 .hi = 0x20010db800000000,
							 .n_ext = n,
							 .proto = LEVEE_PROTO_TCP,
							 .dst_port = 80 };
			size_t len;

			for (int k = 0; k < n; k++)
				spec.ext[k].proto = exts[i];
			len = levee_frame_build(&spec, frame);
			check(&s, len, "chain");
			/* Port 80 is out of scope; what is beyond the limit is unknown, so in it. */
			run(len, &got);
			assert_int_equal(got.account.outcome[LEVEE_OUT_OF_SCOPE],
					 n <= LEVEE_EXT_MAX);
			assert_int_equal(got.account.port_unknown, n > LEVEE_EXT_MAX);
		}
	}
}

static void sources_of_only_zeros_and_only_ones_are_sources(void **state)
{
	static const struct {
		uint8_t family;
		uint64_t hi, lo;
	} sources[] = { { 4, 0, 0 }, { 4, 0xffffffff, 0 }, { 6, 0, 0 }, { 6, ~0ULL, ~0ULL } };
	struct effect want, got;

	(void)state;
	open_fixture();
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct levee_frame_spec spec = { .family = sources[i].family,
						 .hi = sources[i].hi,
						 .lo = sources[i].lo,
						 .proto = LEVEE_PROTO_UDP };
		size_t len = levee_frame_build(&spec, frame);

		expect_received(len, &want);
		expect_counted(len, sources[i].family, sources[i].hi, sources[i].lo, &want);
		run(len, &got);
		assert_effect(len, &want, &got, "a source");
	}
}

static void a_jumbo_frame_is_counted_with_all_its_bytes(void **state)
{
	struct levee_frame_spec spec = {
		.family = 4, .hi = 0xc0000207, .proto = LEVEE_PROTO_UDP, .payload = 9000 - 28
	};
	struct effect want, got;
	size_t len;

	(void)state;
	open_fixture();
	if (!levee_xdp_has_frags(&fixture)) {
		print_message("# skipped: the kernel has no XDP with several pages a frame\n");
		skip();
	}
	len = levee_frame_build(&spec, frame);
	assert_int_equal(len, 9014);
	expect_received(len, &want);
	expect_counted(len, 4, spec.hi, 0, &want);
	run(len, &got);
	assert_effect(len, &want, &got, "jumbo");
}

static void an_ipv6_source_is_counted_by_its_configured_prefix(void **state)
{
	static const uint8_t lengths[] = { 1, 32, 56, 63, 64, 65, 127, 128 };
	struct levee_frame_spec spec = { .family = 6,
					 .hi = 0xfedcba9876543211,
					 .lo = 0xffeeddccbbaa9987,
					 .proto = LEVEE_PROTO_UDP };
	struct effect want, got;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths); i++) {
		size_t len = levee_frame_build(&spec, frame);

		levee_xdp_fixture_open(
			&fixture,
			&(struct levee_xdp_sizes){ .sources = 8, .source6_length = lengths[i] });
		expect_received(len, &want);
		expect_counted(len, 6, spec.hi, spec.lo, &want);
		run(len, &got);
		assert_effect(len, &want, &got, "prefix");
	}
}

static void packets_of_one_source_add_up(void **state)
{
	struct levee_frame_spec spec = { .family = 6, .hi = 1ULL << 61, .proto = LEVEE_PROTO_UDP };
	struct effect e = { 0 };
	struct levee_sink sink = { .source = on_source, .ctx = &e.found };
	uint64_t bytes = 0;

	(void)state;
	open_fixture();
	for (uint16_t i = 0; i < 1000; i++) {
		spec.lo = i; /* all of one /64 */
		spec.payload = i;
		bytes += levee_frame_build(&spec, frame);
		levee_xdp_run(&fixture, frame, levee_frame_build(&spec, frame));
	}
	levee_xdp_take(&fixture, &sink, &e.account);
	assert_int_equal(e.account.received, 1000);
	assert_int_equal(e.account.received_bytes, bytes);
	assert_int_equal(e.found.n, 1);
	assert_int_equal(e.found.at[0].packets, 1000);
	assert_int_equal(e.found.at[0].bytes, bytes);
}

/* ---- random packets ---------------------------------------------------------------------- */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

static void random_source(struct levee_frame_spec *spec, uint64_t *random)
{
	uint64_t r = (uint64_t)next_random(random) << 33 ^ next_random(random);

	if (spec->family == 4) {
		static const uint32_t bases[] = { 0xc6336400, 0xc6336300, 0, 0xffffff00,
						  0xe0000000 };

		spec->hi = (bases[r % 5] | (r >> 8 & 0xff)) ^
			   (r >> 20 & 7 ? 0 : 1U << (r >> 24 & 31));
	} else {
		static const uint64_t bases[] = { 0x20010db8000100aa, 0xffff000000000000, 0,
						  0x20010db8000100ab };

		spec->hi = bases[r % 4] ^ (r >> 20 & 7 ? 0 : 1ULL << (r >> 24 & 63));
		spec->lo = r >> 40 & 1 ? r >> 41 & 3 : r << 20;
	}
}

static struct levee_frame_spec random_spec(uint64_t *random)
{
	static const uint16_t tags[] = { 0, 0, 0x8100, 0x88a8, 0x9100 };
	static const uint8_t exts[] = { 0, 43, 44, 44, 51, 60, 135, 139, 140 };
	static const uint8_t protos[] = { 1, 6, 6, 17, 17, 47, 50, 58, 59, 0, 44, 60 };
	static const uint16_t ports[] = { 53, 443, 1023, 1024, 2047, 2048, 0, 65535 };
	struct levee_frame_spec spec = {
		.family = next_random(random) & 1 ? 4 : 6,
		.options = (uint8_t)(next_random(random) % 11),
		.proto = protos[next_random(random) % sizeof(protos)],
		.dst_port = ports[next_random(random) % 8],
		.tcp_flags = (uint8_t)next_random(random),
		.n_ext = (uint8_t)(next_random(random) % LEVEE_FRAME_EXT),
		.payload = (uint16_t)(next_random(random) % 64),
	};

	random_source(&spec, random);
	for (int i = 0; i < LEVEE_FRAME_TAGS; i++)
		spec.tags[i] = tags[next_random(random) % 5];
	if (!(next_random(random) & 3))
		spec.fragment = (uint16_t)next_random(random);
	if (!(next_random(random) & 63))
		spec.payload = (uint16_t)(next_random(random) % 8500);
	for (int i = 0; i < spec.n_ext; i++) {
		spec.ext[i].proto = exts[next_random(random) % sizeof(exts)];
		spec.ext[i].length = (uint8_t)(next_random(random) % 5);
		spec.ext[i].fragment = (uint16_t)(next_random(random) % 12);
	}
	return spec;
}

static void random_packets_with_random_damage_are_as_in_user_space(void **state)
{
	uint64_t random = SEED;
	struct settings s;

	(void)state;
	print_message("# seed %u\n", SEED);
	open_fixture();
	for (unsigned int nr = 0; nr < 8; nr++) {
		use_settings(nr, &s);
		for (int turn = 0; turn < RANDOM_TURNS / 8; turn++) {
			struct levee_frame_spec spec = random_spec(&random);
			size_t len = levee_frame_build(&spec, frame);

			for (uint32_t damage = next_random(&random) % 4; damage; damage--)
				frame[next_random(&random) % (len < 120 ? len : 120)] =
					(uint8_t)next_random(&random);
			if (next_random(&random) & 1)
				len = next_random(&random) % (len + 1);
			check(&s, len, "random packet");
		}
	}
}

static void random_bytes_are_as_in_user_space(void **state)
{
	uint64_t random = SEED + 1;
	struct settings s;

	(void)state;
	print_message("# seed %u\n", SEED + 1);
	open_fixture();
	use_settings(5, &s);
	for (int turn = 0; turn < RANDOM_TURNS / 4; turn++) {
		size_t len = LEVEE_XDP_RUN_MIN + next_random(&random) % 200;

		for (size_t i = 0; i < len; i++)
			frame[i] = (uint8_t)next_random(&random);
		if (turn & 1) {
			frame[12] = turn & 2 ? 0x08 : 0x86;
			frame[13] = turn & 2 ? 0x00 : 0xdd;
			frame[14] = turn & 2 ? 0x45 : 0x60;
		}
		check(&s, len, "random bytes");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_of_the_table_does_what_the_table_says),
		cmocka_unit_test(a_blocked_source_is_dropped_whatever_follows_its_address),
		cmocka_unit_test(what_cannot_be_parsed_passes_even_if_everybody_is_blocked),
		cmocka_unit_test(every_truncation_of_every_packet_is_as_in_user_space),
		cmocka_unit_test(every_first_byte_of_an_ip_header_is_as_in_user_space),
		cmocka_unit_test(every_stack_of_tags_is_as_in_user_space),
		cmocka_unit_test(every_ethertype_is_as_in_user_space),
		cmocka_unit_test(every_protocol_is_as_in_user_space),
		cmocka_unit_test(chains_of_extension_headers_are_followed_up_to_the_limit),
		cmocka_unit_test(sources_of_only_zeros_and_only_ones_are_sources),
		cmocka_unit_test(a_jumbo_frame_is_counted_with_all_its_bytes),
		cmocka_unit_test(an_ipv6_source_is_counted_by_its_configured_prefix),
		cmocka_unit_test(packets_of_one_source_add_up),
		cmocka_unit_test(random_packets_with_random_damage_are_as_in_user_space),
		cmocka_unit_test(random_bytes_are_as_in_user_space),
	};

	return cmocka_run_group_tests(tests, NULL, close_fixture);
}
