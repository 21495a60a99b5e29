/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inspector on bursts made by hand: what it drops, what it counts, against the table of packets,
 * against the plain policy, and against sums kept beside it. Needs no DPDK.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dpdk/inspect.h"
#include "dataplane/dpdk/lanes.h"
#include "tests/dataplane/dpdk/collect.h"
#include "tests/support/frame.h"
#include "tests/support/frame_cases.h"
#include "tests/support/policymodel.h"

#define SEED 20261124U
#define NOW  1000000000000ULL

struct world {
	struct levee_tables t;
	struct levee_policy *policy;
	struct levee_inspector in;
	uint8_t frames[LEVEE_BURST_MAX][LEVEE_FRAME_MAX];
	struct levee_view view[LEVEE_BURST_MAX];
	unsigned int n;
	struct collected got;
	unsigned int pressures;
	uint64_t pressure_seq;
	unsigned int trips;
	struct levee_prefix tripped[64];
	bool no_room;
};

static bool on_trip(void *ctx, uint64_t seq, const struct levee_prefix *source)
{
	struct world *w = ctx;

	assert_int_equal(seq, w->t.rows.control->seq);
	if (w->no_room)
		return false;
	w->tripped[w->trips++ % 64] = *source;
	return true;
}

static void on_pressure(void *ctx, uint64_t seq)
{
	struct world *w = ctx;

	w->pressures++;
	w->pressure_seq = seq;
}

static void open_world(struct world *w, const struct levee_tables_sizes *sizes, uint32_t cpu)
{
	assert_int_equal(levee_tables_open(&w->t, sizes, NOW), 0);
	assert_int_equal(levee_policy_new(&w->policy, &w->t.policy), 0);
	w->in = (struct levee_inspector){
		.tables = &w->t, .cpu = cpu, .pressure = on_pressure, .trip = on_trip, .ctx = w
	};
}

static void open_small(struct world *w)
{
	open_world(w,
		   &(struct levee_tables_sizes){ .cpus = 2,
						 .sources = 64,
						 .sources6 = 64,
						 .rules = 4096,
						 .source6_length = 64 },
		   1);
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct world));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	levee_policy_free(&w->policy);
	levee_tables_close(&w->t);
	collect_free(&w->got);
	free(w);
	return 0;
}

static void put(struct world *w, const struct levee_frame_spec *spec)
{
	size_t n = levee_frame_build(spec, w->frames[w->n]);

	w->view[w->n] = (struct levee_view){ .data = w->frames[w->n],
					     .captured = (uint32_t)n,
					     .bytes = (uint32_t)n };
	w->n++;
}

static void put_source(struct world *w, uint8_t family, uint64_t hi, uint64_t lo)
{
	put(w, &(struct levee_frame_spec){ .family = family,
					   .hi = hi,
					   .lo = lo,
					   .proto = LEVEE_PROTO_UDP,
					   .dst_port = 53 });
}

static uint64_t go(struct world *w)
{
	uint64_t drop = levee_inspect(&w->in, w->view, w->n, NOW);

	w->n = 0;
	return drop;
}

/* Close the epoch as a back end does, and gather it. */
static void take(struct world *w)
{
	struct levee_control *c = w->t.rows.control;
	struct levee_sink sink = { .source = collect_source, .ctx = &w->got };

	levee_rows_size_next(&w->t.rows, (uint32_t)(c->seq & 1));
	c->seq++;
	assert_int_equal(
		levee_rows_walk(&w->t.rows, (uint32_t)((c->seq - 1) & 1), &sink, &w->got.account),
		0);
	levee_rows_clear(&w->t.rows, (uint32_t)((c->seq - 1) & 1));
	collect_merge(&w->got);
	assert_int_equal(w->got.account.received, collect_sum(&w->got.account));
}

/* ---- the table of packets ----------------------------------------------------------------- */

static void check_case(struct world *w, const struct levee_frame_case *c)
{
	const struct levee_account *a = &w->got.account;
	size_t len;

	put(w, &c->spec);
	len = w->view[0].bytes;
	assert_int_equal(go(w), 0);
	take(w);
	assert_int_equal(a->received, 1);
	assert_int_equal(a->received_bytes, len);
	if (!c->result) {
		assert_int_equal(a->outcome[LEVEE_COUNTED], 1);
		assert_int_equal(w->got.n, 1);
		assert_int_equal(w->got.at[0].source.family, c->spec.family);
		assert_true(w->got.at[0].source.hi == c->spec.hi);
		assert_int_equal(w->got.at[0].bytes, len);
	} else {
		assert_int_equal(w->got.n, 0);
		assert_int_equal(a->reasons[-c->result], 1);
		assert_int_equal(
			a->outcome[c->result == LEVEE_NOT_IP ? LEVEE_OUT_OF_SCOPE : LEVEE_UNPARSED],
			1);
	}
	collect_free(&w->got);
}

static void each_packet_of_the_table_is_counted_as_the_table_says(void **state)
{
	struct world *w = *state;

	open_small(w);
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		print_message("%s\n", levee_frame_cases[i].says);
		check_case(w, &levee_frame_cases[i]);
	}
}

static void a_burst_counts_as_its_packets_one_by_one(void **state)
{
	struct world *w = *state;
	struct collected single = { 0 }, whole;

	open_small(w);
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		put(w, &levee_frame_cases[i].spec);
		go(w);
	}
	take(w);
	single = w->got;
	w->got = (struct collected){ 0 };
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		put(w, &levee_frame_cases[i].spec);
		if (w->n == LEVEE_BURST_MAX)
			go(w);
	}
	go(w);
	take(w);
	whole = w->got;
	w->got = (struct collected){ 0 };
	collect_assert_same(&single, &whole);
	collect_free(&single);
	collect_free(&whole);
}

static void an_empty_burst_changes_nothing(void **state)
{
	struct world *w = *state;

	open_small(w);
	assert_int_equal(go(w), 0);
	take(w);
	assert_int_equal(w->got.account.received, 0);
}

/* ---- policy -------------------------------------------------------------------------------- */

static void check_verdicts(struct world *w, struct policy_model *m)
{
	struct model_address a[LEVEE_BURST_MAX];
	struct levee_account want = { 0 };
	uint64_t drop = 0, said;
	unsigned int n = 1 + model_random(m) % LEVEE_BURST_MAX;

	for (unsigned int i = 0; i < n; i++) {
		struct model_block *by;

		a[i] = model_random_address(m);
		put_source(w, a[i].family, a[i].hi, a[i].lo);
		switch (model_verdict(m, &a[i], NOW, &by)) {
		case LEVEE_VERDICT_BLOCK:
			by->packets++;
			by->bytes += w->view[i].bytes;
			drop |= 1ULL << i;
			want.outcome[LEVEE_DROPPED]++;
			want.dropped_bytes += w->view[i].bytes;
			break;
		case LEVEE_VERDICT_ALLOW:
			want.outcome[LEVEE_ALLOWED]++;
			break;
		case LEVEE_VERDICT_LIMIT:
		case LEVEE_VERDICT_NONE:
			want.outcome[LEVEE_COUNTED]++;
			break;
		}
	}
	said = go(w);
	if (said != drop)
		fail_msg("of %u packets %016llx are dropped instead of %016llx", n,
			 (unsigned long long)said, (unsigned long long)drop);
	take(w);
	assert_memory_equal(w->got.account.outcome, want.outcome, sizeof(want.outcome));
	assert_int_equal(w->got.account.dropped_bytes, want.dropped_bytes);
	collect_free(&w->got);
}

static void verdicts_on_random_policies_are_those_of_the_plain_one(void **state)
{
	struct world *w = *state;
	struct policy_model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	m->random = SEED;
	print_message("seed %u\n", SEED);
	open_small(w);
	for (int turn = 0; turn < 400; turn++) {
		model_step(m, w->policy, NOW);
		check_verdicts(w, m);
	}
	model_assert_same(m, w->policy);
	free(m);
}

static void audit_drops_nothing_counts_all_and_says_what_it_would(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = { .hi = 0xcb007105, .family = 4, .length = 32 };

	open_small(w);
	w->t.page->control.audit = 1;
	assert_int_equal(levee_policy_block(w->policy, &p, LEVEE_NEVER, NOW), 0);
	put_source(w, 4, p.hi, 0);
	put_source(w, 4, p.hi + 1, 0);
	assert_int_equal(go(w), 0);
	take(w);
	assert_int_equal(w->got.account.would_drop, 1);
	assert_int_equal(w->got.account.outcome[LEVEE_COUNTED], 2);
	assert_int_equal(w->got.n, 2);
}

static void a_block_that_has_expired_drops_nothing(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = { .hi = 0xcb007105, .family = 4, .length = 32 };

	open_small(w);
	assert_int_equal(levee_policy_block(w->policy, &p, NOW, NOW - 1), 0);
	put_source(w, 4, p.hi, 0);
	assert_int_equal(go(w), 0);
	assert_int_equal(levee_policy_block(w->policy, &p, NOW + 1, NOW), 0);
	put_source(w, 4, p.hi, 0);
	assert_int_equal(go(w), 1);
}

static void scope_comes_after_the_blocks_and_before_the_count(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = { .hi = 0xcb007105, .family = 4, .length = 32 };
	struct levee_scope scope = { .enabled = 1 };

	open_small(w);
	scope.part[LEVEE_PROTO_UDP / 64] |= 1ULL << (LEVEE_PROTO_UDP % 64);
	scope.udp[53 / 64] |= 1ULL << 53 % 64;
	levee_scope_publish(&w->t.page->scope, &scope);
	assert_int_equal(levee_policy_block(w->policy, &p, LEVEE_NEVER, NOW), 0);
	put(w, &(struct levee_frame_spec){
		       .family = 4, .hi = p.hi, .proto = LEVEE_PROTO_TCP, .dst_port = 80 });
	put(w, &(struct levee_frame_spec){
		       .family = 4, .hi = p.hi + 1, .proto = LEVEE_PROTO_TCP, .dst_port = 80 });
	put_source(w, 4, p.hi + 2, 0);
	put(w, &(struct levee_frame_spec){ .family = 4,
					   .hi = p.hi + 3,
					   .proto = LEVEE_PROTO_UDP,
					   .fragment = 0x00b9,
					   .payload = 64 });
	assert_int_equal(go(w), 1);
	take(w);
	assert_int_equal(w->got.account.outcome[LEVEE_DROPPED], 1);
	assert_int_equal(w->got.account.outcome[LEVEE_OUT_OF_SCOPE], 1);
	assert_int_equal(w->got.account.outcome[LEVEE_COUNTED], 2);
	assert_int_equal(w->got.account.port_unknown, 1);
}

/* ---- counting ------------------------------------------------------------------------------ */

static void one_source_many_times_in_a_burst_is_one_source(void **state)
{
	struct world *w = *state;

	open_small(w);
	for (int i = 0; i < LEVEE_BURST_MAX; i++)
		put_source(w, i & 1 ? 4 : 6, i & 1 ? 0xc6336407 : 0x20010db800000001ULL,
			   (uint64_t)(i & 2));
	go(w);
	take(w);
	assert_int_equal(w->got.n, 2);
	assert_int_equal(w->got.at[0].packets, LEVEE_BURST_MAX / 2);
	assert_int_equal(w->got.at[1].packets, LEVEE_BURST_MAX / 2);
	assert_int_equal(w->got.account.evicted, 0);
}

static void all_lanes_at_once_find_what_one_by_one_finds(void **state)
{
	struct levee_bucket4 bucket __attribute__((aligned(LEVEE_CACHE_LINE))) = { 0 };
	uint32_t addr = 1;

	(void)state;
	for (uint32_t slot = 0; slot < LEVEE_SLOTS; slot++)
		bucket.addr[slot] = 0xc0000200U + slot;
	for (uint32_t slot = 0; slot < LEVEE_SLOTS; slot++)
		assert_int_equal(levee_lane4(&bucket, 0xc0000200U + slot), slot);
	for (int i = 0; i < 10000; i++) {
		addr = addr * 2654435761U + 1;
		bucket.addr[i & 3] = addr & 0xff; /* equal ones are rare, and none is twice */
		for (int other = 0; other < LEVEE_SLOTS; other++)
			if (other != (i & 3) && bucket.addr[other] == (addr & 0xff))
				bucket.addr[other] = 0x1000U + (uint32_t)i;
		for (uint32_t asked = 0; asked < 256; asked += 15)
			assert_int_equal(levee_lane4(&bucket, asked), levee_find4(&bucket, asked));
	}
}

/* The address that free slots show, in tables that fill up behind and before it. */
static void address_0_is_counted_like_any_other(void **state)
{
	struct world *w = *state;

	open_small(w);
	for (uint32_t turn = 0; turn < 4; turn++) {
		for (uint32_t i = 0; i < 40; i++) {
			put_source(w, 4, i, 0);
			if (i % 10 == 9)
				go(w);
		}
	}
	take(w);
	assert_int_equal(w->got.n, 40);
	for (size_t i = 0; i < w->got.n; i++)
		assert_int_equal(w->got.at[i].packets, 4);
}

/* A stream in a table of 64 slots and a log of 32 entries, drained before the log is full. */
static void sums_stay_exact_while_sources_are_evicted(void **state)
{
	struct world *w = *state;
	static uint64_t sent[2][512];
	uint64_t evicted = 0;
	uint32_t r = SEED;

	memset(sent, 0, sizeof(sent));
	open_small(w);
	for (int turn = 0; turn < 4000; turn++) {
		unsigned int n;

		r = r * 1664525 + 1013904223;
		n = r >> 16 & 31;
		for (unsigned int i = 0; i < n; i++) {
			unsigned int family, source;

			r = r * 1664525 + 1013904223;
			family = r >> 31;
			source = (r >> 8) % 512;
			if (r >> 20 & 1)
				source &= 7; /* heavy ones */
			sent[family][source]++;
			put_source(w, family ? 6 : 4,
				   family ? 0x20010db800000000ULL + source : 0xc6336400U + source,
				   r);
		}
		go(w);
		if (turn % 2 == 1)
			take(w);
		evicted = w->got.account.evicted;
	}
	take(w);
	assert_true(evicted > 0);
	assert_int_equal(w->got.account.fold.n, 0);
	for (unsigned int family = 0; family < 2; family++)
		for (unsigned int source = 0; source < 512; source++) {
			struct collected_source key = {
				.source = { .hi = family ? 0x20010db800000000ULL + source
							 : 0xc6336400U + source,
					    .family = family ? 6 : 4,
					    .length = family ? 64 : 32 }
			};
			struct collected_source *found = bsearch(&key, w->got.at, w->got.n,
								 sizeof(key), collect_order);

			assert_int_equal(found ? found->packets : 0, sent[family][source]);
		}
}

static void a_full_log_folds_and_loses_no_packet(void **state)
{
	struct world *w = *state;
	uint64_t named = 0, bytes = 0;

	open_small(w);
	for (uint32_t i = 0; i < 100 * LEVEE_BURST_MAX; i++) {
		put_source(w, i & 1 ? 4 : 6,
			   i & 1 ? i * 2654435761U : 0x2001000000000000ULL + i * 7919ULL, 0);
		if (w->n == LEVEE_BURST_MAX)
			go(w);
	}
	take(w);
	for (size_t i = 0; i < w->got.n; i++) {
		named += w->got.at[i].packets;
		bytes += w->got.at[i].bytes;
	}
	assert_true(w->got.account.fold.n > 0);
	assert_int_equal(named + w->got.account.fold.packets, w->got.account.received);
	assert_int_equal(bytes + w->got.account.fold.bytes, w->got.account.received_bytes);
	assert_int_equal(w->got.account.outcome[LEVEE_COUNTED], 100 * LEVEE_BURST_MAX);
}

static void a_log_half_full_is_said_once_an_epoch(void **state)
{
	struct world *w = *state;
	uint64_t seq;

	open_small(w);
	for (int epoch = 0; epoch < 3; epoch++) {
		seq = w->t.rows.control->seq;
		w->pressures = 0;
		for (uint32_t i = 0; i < 8 * LEVEE_BURST_MAX; i++) {
			put_source(w, 4, i * 2654435761U, 0);
			if (w->n == LEVEE_BURST_MAX)
				go(w);
		}
		assert_int_equal(w->pressures, 1);
		assert_int_equal(w->pressure_seq, seq);
		take(w);
	}
}

static void a_slot_that_is_full_moves_to_the_log(void **state)
{
	struct world *w = *state;
	struct levee_bucket4 *b;
	struct levee_bucket6 *c;

	open_small(w);
	put_source(w, 4, 0xc6336407, 0);
	put_source(w, 6, 0x20010db800000001ULL, 0);
	go(w);
	b = w->t.rows.sources4;
	for (size_t i = 0; i < 4U << w->t.rows.geo.bits4; i++)
		for (int s = 0; s < LEVEE_SLOTS; s++)
			if (b[i].packets[s])
				b[i].packets[s] = LEVEE_SLOT_FULL - 1;
	c = w->t.rows.sources6;
	for (size_t i = 0; i < 4U << w->t.rows.geo.bits6; i++)
		for (int s = 0; s < LEVEE_SLOTS; s++)
			if (c[i].packets[s])
				c[i].packets[s] = LEVEE_SLOT_FULL - 1;
	for (int i = 0; i < 2; i++) {
		put_source(w, 4, 0xc6336407, 0);
		put_source(w, 6, 0x20010db800000001ULL, 0);
	}
	go(w);
	take(w);
	assert_int_equal(w->got.n, 2);
	assert_int_equal(w->got.account.evicted, 2);
	assert_int_equal(w->got.at[0].packets, LEVEE_SLOT_FULL + 1ULL);
	assert_int_equal(w->got.at[1].packets, LEVEE_SLOT_FULL + 1ULL);
}

static void each_share_of_a_source_is_an_event(void **state)
{
	struct world *w = *state;

	open_small(w);
	w->t.rows.control->share_mask = 7;
	for (int i = 0; i < 25; i++) {
		put_source(w, 4, 0xc6336407, 0);
		put_source(w, 6, 0x20010db800000001ULL, (uint64_t)i);
		if (i < 7)
			put_source(w, 4, 0xc6336408, 0);
		go(w);
	}
	assert_int_equal(w->trips, 6);
	assert_int_equal(w->tripped[0].hi, 0xc6336407);
	assert_int_equal(w->tripped[0].length, 32);
	assert_true(w->tripped[1].hi == 0x20010db800000001ULL);
	assert_int_equal(w->tripped[1].lo, 0);
	assert_int_equal(w->tripped[1].length, 64);
	levee_rows_set_share(&w->t.rows, 1);
	put_source(w, 4, 0xc6336409, 0);
	go(w);
	assert_int_equal(w->trips, 7);
	levee_rows_set_share(&w->t.rows, 0);
	for (int i = 0; i < 100; i++) {
		put_source(w, 4, 0xc6336407, 0);
		go(w);
	}
	assert_int_equal(w->trips, 7);
}

static void an_event_that_finds_no_room_is_counted(void **state)
{
	struct world *w = *state;

	open_small(w);
	levee_rows_set_share(&w->t.rows, 1);
	w->no_room = true;
	for (int i = 0; i < 5; i++)
		put_source(w, 4, 0xc6336407, 0);
	go(w);
	take(w);
	assert_int_equal(w->got.account.lost_events, 5);
	assert_int_equal(w->got.at[0].packets, 5);
}

static void put_tcp(struct world *w, uint8_t family, uint64_t hi, uint8_t flags)
{
	put(w, &(struct levee_frame_spec){ .family = family,
					   .hi = hi,
					   .proto = LEVEE_PROTO_TCP,
					   .dst_port = 443,
					   .tcp_flags = flags });
}

static struct levee_counts counts_of(struct world *w, uint8_t family, uint64_t hi)
{
	struct levee_prefix p = { .hi = hi, .family = family, .length = family == 4 ? 32 : 64 };

	return levee_rows_count(&w->t.rows, (uint32_t)(w->t.rows.control->seq & 1), &p);
}

static void tcp_headers_are_looked_at_if_asked_for(void **state)
{
	struct world *w = *state;

	open_small(w);
	put_tcp(w, 4, 0xc6336407, LEVEE_TCP_SYN);
	go(w);
	assert_int_equal(counts_of(w, 4, 0xc6336407).syns, 0);
	w->in.flows = true;
	for (uint8_t family = 4; family <= 6; family += 2) {
		uint64_t hi = family == 4 ? 0xc6336408 : 0x20010db800000001ULL;

		for (int i = 0; i < 3; i++)
			put_tcp(w, family, hi, LEVEE_TCP_SYN);
		put_tcp(w, family, hi, LEVEE_TCP_SYN | LEVEE_TCP_ACK);
		go(w);
		assert_int_equal(counts_of(w, family, hi).syns, 3);
		assert_int_equal(counts_of(w, family, hi).packets, 4);
		assert_false(counts_of(w, family, hi).answered);
		put_tcp(w, family, hi, LEVEE_TCP_ACK);
		put_tcp(w, family, hi, LEVEE_TCP_ACK);
		go(w);
		assert_true(counts_of(w, family, hi).answered);
		assert_int_equal(counts_of(w, family, hi).syns, 3);
		assert_int_equal(counts_of(w, family, hi).packets, 6);
	}
}

static void each_lcore_has_its_own_rows_and_the_drain_adds_them_up(void **state)
{
	struct world *w = *state;

	open_small(w);
	for (uint32_t cpu = 0; cpu < 2; cpu++) {
		w->in.cpu = cpu;
		for (uint32_t i = 0; i <= cpu; i++)
			put_source(w, 4, 0xc6336407, 0);
		go(w);
		assert_int_equal(w->t.rows.rows[levee_row_nr(cpu, 1)].outcome[LEVEE_COUNTED],
				 cpu + 1);
	}
	take(w);
	assert_int_equal(w->got.n, 1);
	assert_int_equal(w->got.at[0].packets, 3);
}

static void bytes_are_those_on_the_wire_even_if_fewer_lie_together(void **state)
{
	struct world *w = *state;

	open_small(w);
	put_source(w, 4, 0xc6336407, 0);
	w->view[0].captured = 34; /* the addresses, and no port */
	w->view[0].bytes = 9014;
	go(w);
	take(w);
	assert_int_equal(w->got.at[0].bytes, 9014);
	assert_int_equal(w->got.account.received_bytes, 9014);
}

static void tables_too_large_for_the_machine_are_refused(void **state)
{
	struct levee_tables t;
	struct levee_tables_sizes sizes = { .cpus = 1U << 20,
					    .sources = 1U << 26,
					    .sources6 = 1U << 26,
					    .rules = 64,
					    .source6_length = 64 };

	(void)state;
	assert_true(levee_tables_open(&t, &sizes, NOW) < 0);
	levee_tables_close(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_packet_of_the_table_is_counted_as_the_table_says),
		TEST(a_burst_counts_as_its_packets_one_by_one),
		TEST(an_empty_burst_changes_nothing),
		TEST(verdicts_on_random_policies_are_those_of_the_plain_one),
		TEST(audit_drops_nothing_counts_all_and_says_what_it_would),
		TEST(a_block_that_has_expired_drops_nothing),
		TEST(scope_comes_after_the_blocks_and_before_the_count),
		TEST(one_source_many_times_in_a_burst_is_one_source),
		TEST(all_lanes_at_once_find_what_one_by_one_finds),
		TEST(address_0_is_counted_like_any_other),
		TEST(sums_stay_exact_while_sources_are_evicted),
		TEST(a_full_log_folds_and_loses_no_packet),
		TEST(a_log_half_full_is_said_once_an_epoch),
		TEST(a_slot_that_is_full_moves_to_the_log),
		TEST(each_share_of_a_source_is_an_event),
		TEST(an_event_that_finds_no_room_is_counted),
		TEST(tcp_headers_are_looked_at_if_asked_for),
		TEST(each_lcore_has_its_own_rows_and_the_drain_adds_them_up),
		TEST(bytes_are_those_on_the_wire_even_if_fewer_lie_together),
		TEST(tables_too_large_for_the_machine_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
