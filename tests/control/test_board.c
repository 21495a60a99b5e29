/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/board.h"

#define START_NS 1700000000000000000ULL
#define FIRST_ID (START_NS / 1000)
#define LONG_MS	 60000 /* far longer than anything here takes */

struct fixture {
	struct levee_board *board;
	pthread_t thread;
	int result;
	struct levee_request request;
	unsigned int executed, after;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(levee_board_new(&f->board, START_NS), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_board_free(&f->board);
	levee_board_free(&f->board);
	free(f);
	return 0;
}

static struct levee_prefix prefix_of(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static bool is_readable(const struct fixture *f)
{
	struct pollfd p = { .fd = levee_board_fd(f->board), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* The controller's thread, as far as the tests need it: serve until something was carried out. */
static void serve(struct fixture *f, void (*execute)(void *, struct levee_request *))
{
	struct pollfd p = { .fd = levee_board_fd(f->board), .events = POLLIN };

	assert_int_equal(poll(&p, 1, LONG_MS), 1);
	levee_board_serve(f->board, execute, NULL, f);
}

/* ---- snapshots --------------------------------------------------------------------------- */

static void a_reader_keeps_its_snapshot_when_a_newer_one_is_published(void **state)
{
	struct fixture *f = *state;
	struct levee_snapshot *one = levee_snapshot_new(), *two = levee_snapshot_new();
	const struct levee_snapshot *held, *newest;

	assert_null(levee_board_snapshot(f->board));
	one->bin_s = 1;
	one->blocks = calloc(4, sizeof(*one->blocks));
	two->bin_s = 2;
	levee_board_publish(f->board, one);
	held = levee_board_snapshot(f->board);
	levee_board_publish(f->board, two);
	newest = levee_board_snapshot(f->board);
	assert_int_equal(held->bin_s, 1);
	assert_int_equal(newest->bin_s, 2);
	assert_true(newest->seq > held->seq);
	levee_snapshot_put(&held);
	levee_snapshot_put(&newest);
	assert_null(held);
	levee_snapshot_put(&held);
}

static void the_controller_learns_whether_anybody_reads(void **state)
{
	struct fixture *f = *state;
	const struct levee_snapshot *s;

	assert_false(levee_board_was_read(f->board));
	s = levee_board_snapshot(f->board);
	levee_snapshot_put(&s);
	assert_true(levee_board_was_read(f->board));
	assert_false(levee_board_was_read(f->board));
}

static void *wait_for_snapshot(void *ctx)
{
	struct fixture *f = ctx;

	f->result = levee_board_wait(f->board, 1, LONG_MS);
	return NULL;
}

static void a_wait_ends_with_the_next_snapshot(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(levee_board_wait(f->board, 0, 1), -ETIMEDOUT);
	levee_board_publish(f->board, levee_snapshot_new());
	assert_int_equal(levee_board_wait(f->board, 0, 0), 0);
	f->result = 1;
	pthread_create(&f->thread, NULL, wait_for_snapshot, f);
	levee_board_publish(f->board, levee_snapshot_new());
	pthread_join(f->thread, NULL);
	assert_int_equal(f->result, 0);
}

static void prefixes_are_found_exactly_and_by_what_covers_them(void **state)
{
	static const char *const texts[] = { "10.0.0.0/8", "10.1.0.0/16", "198.51.100.7",
					     "2001:db8::/32" };
	struct levee_prefix in = prefix_of("10.1.2.3"), out = prefix_of("11.1.2.3");
	struct levee_prefix exact = prefix_of("10.1.0.0/16"), in6 = prefix_of("2001:db8:1::/64");
	struct levee_snapshot *s = levee_snapshot_new();
	const struct levee_snapshot *put = s;

	(void)state;
	assert_null(levee_snapshot_covering(s, &in));
	s->blocks = calloc(4, sizeof(*s->blocks));
	s->allowed = calloc(4, sizeof(*s->allowed));
	s->exemptions = calloc(4, sizeof(*s->exemptions));
	s->n_blocks = s->n_allowed = s->n_exemptions = 4;
	for (size_t i = 0; i < 4; i++)
		s->blocks[i].block.prefix = s->allowed[i].prefix = s->exemptions[i].prefix =
			prefix_of(texts[i]);
	assert_ptr_equal(levee_snapshot_block(s, &exact), &s->blocks[1]);
	assert_null(levee_snapshot_block(s, &in));
	assert_ptr_equal(levee_snapshot_covering(s, &in), &s->blocks[0]);
	assert_ptr_equal(levee_snapshot_covering(s, &in6), &s->blocks[3]);
	assert_null(levee_snapshot_covering(s, &out));
	assert_ptr_equal(levee_snapshot_allowed(s, &in), &s->allowed[0]);
	assert_null(levee_snapshot_allowed(s, &out));
	assert_ptr_equal(levee_snapshot_exempt(s, &in6), &s->exemptions[3]);
	levee_snapshot_put(&put);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void execute(void *ctx, struct levee_request *request)
{
	struct fixture *f = ctx;

	f->executed++;
	request->result = request->all ? -EINVAL : 0;
	request->changed = f->executed;
	snprintf(request->message, sizeof(request->message), "rate %llu",
		 (unsigned long long)request->rate);
	request->source.bins = calloc(3, sizeof(*request->source.bins));
	request->source.n_bins = 3;
}

static void *call(void *ctx)
{
	struct fixture *f = ctx;

	f->result = levee_board_call(f->board, &f->request, LONG_MS);
	return NULL;
}

static void a_call_is_answered_by_the_controllers_thread(void **state)
{
	struct fixture *f = *state;

	f->request = (struct levee_request){ .type = LEVEE_REQUEST_DRILL, .rate = 7, .all = true };
	pthread_create(&f->thread, NULL, call, f);
	serve(f, execute);
	pthread_join(f->thread, NULL);
	assert_int_equal(f->result, 0);
	assert_int_equal(f->request.result, -EINVAL);
	assert_string_equal(f->request.message, "rate 7");
	assert_int_equal(f->request.source.n_bins, 3);
	levee_request_clear(&f->request);
	assert_false(is_readable(f));
}

/* The asker has gone: its answer must find a place, and its memory an end (ASan sees to it). */
static void a_call_that_is_given_up_is_still_carried_out(void **state)
{
	struct fixture *f = *state;
	struct levee_request request = { .type = LEVEE_REQUEST_BLOCK };

	assert_int_equal(levee_board_call(f->board, &request, 1), -ETIMEDOUT);
	assert_true(is_readable(f));
	serve(f, execute);
	assert_int_equal(f->executed, 1);
}

static void count_after(void *ctx)
{
	struct fixture *f = ctx;

	assert_int_equal(f->executed, 3); /* all of them are carried out before */
	f->after++;
}

static void note_done(void *ctx, struct levee_request *answered)
{
	struct fixture *f = ctx;

	assert_int_equal(f->after, 1);
	assert_int_equal(answered->changed, ++f->result);
	levee_request_clear(answered);
}

static void askers_go_on_after_what_changed_was_published(void **state)
{
	struct fixture *f = *state;
	struct levee_request request = { .type = LEVEE_REQUEST_RELOAD };

	for (int i = 0; i < 3; i++)
		assert_int_equal(levee_board_submit(f->board, &request, note_done, f), 0);
	assert_int_equal(levee_board_serve(f->board, execute, count_after, f), 3);
	assert_int_equal(f->result, 3);
	assert_int_equal(levee_board_serve(f->board, execute, count_after, f), 0);
	assert_int_equal(f->after, 1);
}

static void note_answer(void *ctx, struct levee_request *answered)
{
	struct fixture *f = ctx;

	f->result++;
	levee_request_clear(answered);
}

static void submit(struct fixture *f, enum levee_request_type type)
{
	struct levee_request request = { .type = type };

	assert_int_equal(levee_board_submit(f->board, &request, note_answer, f), 0);
}

static void what_is_urgent_is_carried_out_before_its_answer(void **state)
{
	struct fixture *f = *state;

	assert_false(levee_board_has_requests(f->board));
	submit(f, LEVEE_REQUEST_SOURCE);
	submit(f, LEVEE_REQUEST_UNBLOCK);
	submit(f, LEVEE_REQUEST_BLOCK);
	assert_true(levee_board_has_requests(f->board));
	assert_int_equal(levee_board_serve_urgent(f->board, execute, f), 2);
	assert_int_equal(levee_board_serve_urgent(f->board, execute, f), 0);
	assert_int_equal(f->executed, 2);
	assert_int_equal(f->result, 0); /* nobody goes on before what changed can be seen */
	assert_int_equal(levee_board_serve(f->board, execute, NULL, f), 3);
	assert_int_equal(f->executed, 3);
	assert_int_equal(f->result, 3);
}

static void note_type(void *ctx, struct levee_request *request)
{
	struct fixture *f = ctx;

	f->executed = f->executed * 100 + (unsigned int)request->type;
}

static void what_is_urgent_overtakes_the_others_and_keeps_its_order(void **state)
{
	struct fixture *f = *state;

	submit(f, LEVEE_REQUEST_EXEMPT_END);
	submit(f, LEVEE_REQUEST_UNBLOCK);
	submit(f, LEVEE_REQUEST_RELOAD);
	submit(f, LEVEE_REQUEST_ALLOW_ADD);
	assert_int_equal(levee_board_serve_urgent(f->board, note_type, f), 2);
	assert_int_equal(f->executed, LEVEE_REQUEST_UNBLOCK * 100 + LEVEE_REQUEST_ALLOW_ADD);
	assert_int_equal(levee_board_serve(f->board, execute, NULL, f), 4);
}

static void waiting_for_something_else_serves_what_is_urgent(void **state)
{
	struct fixture *f = *state;
	struct pollfd board = { .fd = levee_board_fd(f->board), .events = POLLIN };
	int fd = eventfd(0, EFD_CLOEXEC);

	submit(f, LEVEE_REQUEST_RELOAD);
	submit(f, LEVEE_REQUEST_UNBLOCK);
	eventfd_write(fd, 1);
	levee_board_await(f->board, fd, note_type, f);
	assert_int_equal(f->executed, LEVEE_REQUEST_UNBLOCK);
	assert_int_equal(poll(&board, 1, 0), 1); /* the other one still waits, and is seen */
	assert_int_equal(levee_board_serve(f->board, execute, NULL, f), 2);
	assert_int_equal(poll(&board, 1, 0), 0);
	levee_board_await(f->board, fd, note_type, f);
	assert_int_equal(poll(&board, 1, 0), 0);
	close(fd);
}

static void note_shutdown(void *ctx, struct levee_request *answered)
{
	struct fixture *f = ctx;

	assert_int_equal(answered->result, -ESHUTDOWN);
	f->executed++;
}

static void too_many_requests_are_refused(void **state)
{
	struct fixture *f = *state;
	struct levee_request request = { .type = LEVEE_REQUEST_RELOAD };
	unsigned int n = 0;
	int ret;

	while (!(ret = levee_board_submit(f->board, &request, note_shutdown, f)))
		assert_true(++n < 100000);
	assert_int_equal(ret, -EBUSY);
	levee_board_close(f->board);
	assert_int_equal(f->executed, n);
	assert_int_equal(levee_board_submit(f->board, &request, note_shutdown, f), -ESHUTDOWN);
}

static void closing_ends_waits_and_calls(void **state)
{
	struct fixture *f = *state;
	struct pollfd p = { .fd = levee_board_fd(f->board), .events = POLLIN };

	pthread_create(&f->thread, NULL, call, f);
	assert_int_equal(poll(&p, 1, LONG_MS), 1);
	levee_board_close(f->board);
	pthread_join(f->thread, NULL);
	assert_int_equal(f->result, -ESHUTDOWN);
	assert_int_equal(levee_board_wait(f->board, 0, LONG_MS), -ESHUTDOWN);
	assert_int_equal(levee_board_wait_event(f->board, FIRST_ID, LONG_MS), -ESHUTDOWN);
	assert_int_equal(levee_board_call(f->board, &f->request, LONG_MS), -ESHUTDOWN);
}

/* ---- events ------------------------------------------------------------------------------ */

static struct levee_board_entry ring[LEVEE_BOARD_EVENTS + 1];

static uint64_t note_events(struct fixture *f, unsigned int n)
{
	struct levee_board_entry entry = { .kind = "block", .unix_ns = 5 };
	uint64_t id = 0;

	for (unsigned int i = 0; i < n; i++) {
		entry.packets = i;
		id = levee_board_event(f->board, &entry);
	}
	return id;
}

static void events_come_in_order_after_the_one_that_was_seen(void **state)
{
	struct fixture *f = *state;
	uint64_t missed, last;

	assert_int_equal(levee_board_last_event(f->board), FIRST_ID - 1);
	assert_int_equal(levee_board_wait_event(f->board, FIRST_ID - 1, 1), -ETIMEDOUT);
	last = note_events(f, 10);
	assert_int_equal(last, FIRST_ID + 9);
	assert_int_equal(levee_board_wait_event(f->board, last - 1, 0), 0);
	assert_int_equal(levee_board_wait_event(f->board, last, 1), -ETIMEDOUT);
	assert_int_equal(levee_board_events(f->board, FIRST_ID + 6, ring, 100, &missed), 3);
	assert_int_equal(missed, 0);
	assert_int_equal(ring[0].id, FIRST_ID + 7);
	assert_int_equal(ring[2].packets, 9);
	assert_int_equal(levee_board_events(f->board, 0, ring, 4, &missed), 4);
	assert_int_equal(ring[0].id, FIRST_ID);
	assert_int_equal(missed, 0);
}

static void a_follower_who_was_too_slow_learns_how_much_it_missed(void **state)
{
	struct fixture *f = *state;
	uint64_t missed, last = note_events(f, LEVEE_BOARD_EVENTS + 100);

	assert_int_equal(
		levee_board_events(f->board, FIRST_ID + 10, ring, LEVEE_BOARD_EVENTS + 1, &missed),
		LEVEE_BOARD_EVENTS);
	assert_int_equal(missed, 100 - 11);
	assert_int_equal(ring[0].id, FIRST_ID + 100);
	assert_int_equal(ring[LEVEE_BOARD_EVENTS - 1].id, last);
	assert_int_equal(levee_board_events(f->board, FIRST_ID - 1000, ring, 1, &missed), 1);
	assert_int_equal(missed, 0);
}

static void ids_increase_over_a_restart(void **state)
{
	struct fixture *f = *state;
	struct levee_board *later;
	uint64_t last = note_events(f, 5000);

	assert_int_equal(levee_board_new(&later, START_NS + LEVEE_NS_PER_S), 0);
	assert_true(levee_board_last_event(later) >= last);
	levee_board_free(&later);
}

/* ---- health and services ----------------------------------------------------------------- */

static void a_problem_is_noted_when_it_comes_changes_and_goes(void **state)
{
	struct fixture *f = *state;
	struct levee_board_problem p[LEVEE_BOARD_PROBLEMS];
	uint64_t missed;

	assert_int_equal(levee_board_problems(f->board, p), 0);
	levee_board_health(f->board, "state", false, "disk full");
	levee_board_health(f->board, "state", false, "disk full");
	levee_board_health(f->board, "data-path", true, "not attached");
	assert_int_equal(levee_board_problems(f->board, p), 2);
	assert_string_equal(p[0].text, "disk full");
	assert_true(p[1].not_ready);
	levee_board_health(f->board, "state", false, NULL);
	levee_board_health(f->board, "state", false, NULL);
	assert_int_equal(levee_board_problems(f->board, p), 1);
	assert_string_equal(p[0].name, "data-path");
	assert_int_equal(levee_board_events(f->board, 0, ring, 10, &missed), 3);
	assert_string_equal(ring[2].subject, "state");
}

static void more_problems_than_there_is_room_for_do_no_harm(void **state)
{
	struct fixture *f = *state;
	struct levee_board_problem p[LEVEE_BOARD_PROBLEMS];
	char name[16];

	for (int i = 0; i < 2 * LEVEE_BOARD_PROBLEMS; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		levee_board_health(f->board, name, false, "x");
	}
	assert_int_equal(levee_board_problems(f->board, p), LEVEE_BOARD_PROBLEMS);
}

static void write_status(void *ctx, struct levee_json *j)
{
	levee_json_int(j, "answer", *(int *)ctx);
}

static void write_metrics(void *ctx, FILE *out)
{
	fprintf(out, "levee_x %d\n", *(int *)ctx);
}

static void explain(void *ctx, const struct levee_prefix *source, struct levee_json *j)
{
	levee_json_int(j, "rule", *(int *)ctx + source->length);
}

static void a_service_is_asked_by_its_name(void **state)
{
	struct fixture *f = *state;
	int answer = 42;
	struct levee_board_service service = { .name = "x",
					       .status = write_status,
					       .metrics = write_metrics,
					       .explain = explain,
					       .ctx = &answer };
	struct levee_json j;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	assert_int_equal(levee_board_register(f->board, &service), 0);
	assert_int_equal(levee_board_register(f->board, &service), -EEXIST);
	assert_int_equal(levee_board_service_status(f->board, "y", &j), -ENOENT);
	assert_int_equal(levee_board_service_status(f->board, "x", &j), 0);
	levee_board_service_explain(f->board, &(struct levee_prefix){ .family = 4, .length = 8 },
				    &j);
	levee_json_end(&j);
	levee_board_service_metrics(f->board, out);
	levee_board_withdraw(f->board, &service);
	assert_int_equal(levee_board_service_status(f->board, "x", &j), -ENOENT);
	levee_board_service_metrics(f->board, out);
	fclose(out);
	assert_string_equal(text, "{\"answer\": 42, \"x\": {\"rule\": 50}}levee_x 42\n");
	free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reader_keeps_its_snapshot_when_a_newer_one_is_published),
		TEST(the_controller_learns_whether_anybody_reads),
		TEST(a_wait_ends_with_the_next_snapshot),
		TEST(prefixes_are_found_exactly_and_by_what_covers_them),
		TEST(a_call_is_answered_by_the_controllers_thread),
		TEST(a_call_that_is_given_up_is_still_carried_out),
		TEST(askers_go_on_after_what_changed_was_published),
		TEST(what_is_urgent_is_carried_out_before_its_answer),
		TEST(what_is_urgent_overtakes_the_others_and_keeps_its_order),
		TEST(waiting_for_something_else_serves_what_is_urgent),
		TEST(too_many_requests_are_refused),
		TEST(closing_ends_waits_and_calls),
		TEST(events_come_in_order_after_the_one_that_was_seen),
		TEST(a_follower_who_was_too_slow_learns_how_much_it_missed),
		TEST(ids_increase_over_a_restart),
		TEST(a_problem_is_noted_when_it_comes_changes_and_goes),
		TEST(more_problems_than_there_is_room_for_do_no_harm),
		TEST(a_service_is_asked_by_its_name),
	};

	return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
