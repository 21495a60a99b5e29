/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/board.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WAITING_MAX 1024 /* requests; more than that and somebody asks in a loop */

/* A request on its way. Shared by the asker and the queue, because the asker may give up. */
struct ticket {
	struct ticket *next;
	bool executed; /* already, as an urgent one; to be answered in its turn */
	struct levee_request request;
	void (*done)(void *ctx, struct levee_request *answered);
	void *ctx;
};

/* What levee_board_call() waits with; the last of the two that know it frees it. */
struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t answered;
	struct levee_request request;
	bool is_answered;
	unsigned int refs;
};

struct levee_board {
	pthread_mutex_t lock;	/* of everything but the services */
	pthread_cond_t changed; /* a snapshot, an event, or the end */
	bool closed;
	int fd;

	struct levee_snapshot *snapshot;
	uint64_t seq;
	bool was_read;

	struct ticket *first, **last;
	size_t waiting;

	struct levee_board_entry *entries; /* of id i in place i % LEVEE_BOARD_EVENTS */
	uint64_t first_id;		   /* of the first event ever */
	uint64_t next_id;

	struct levee_board_problem problems[LEVEE_BOARD_PROBLEMS];
	size_t n_problems;

	pthread_mutex_t services_lock; /* held while one of their functions runs */
	struct levee_board_service services[LEVEE_BOARD_SERVICES]; /* without a name: free */
};

static uint64_t unix_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * LEVEE_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Waits go by the monotonic clock, so that steps of the wall clock do not touch them. */
static int init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t attr;
	int ret = pthread_condattr_init(&attr);

	if (ret)
		return -ret;
	ret = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!ret)
		ret = pthread_cond_init(condition, &attr);
	pthread_condattr_destroy(&attr);
	return -ret;
}

static void find_deadline(struct timespec *deadline, int timeout_ms)
{
	clock_gettime(CLOCK_MONOTONIC, deadline);
	deadline->tv_sec += timeout_ms / 1000;
	deadline->tv_nsec += timeout_ms % 1000 * 1000000L;
	if (deadline->tv_nsec >= (long)LEVEE_NS_PER_S) {
		deadline->tv_sec++;
		deadline->tv_nsec -= (long)LEVEE_NS_PER_S;
	}
}

/* ---- snapshots --------------------------------------------------------------------------- */

struct levee_snapshot *levee_snapshot_new(void)
{
	struct levee_snapshot *s = calloc(1, sizeof(*s));

	if (s)
		s->refs = 1;
	return s;
}

static void free_snapshot(struct levee_snapshot *s)
{
	levee_evaluation_clear(&s->evaluation);
	free(s->bins);
	free(s->blocks);
	free(s->allowed);
	free(s->exemptions);
	free(s->top);
	free(s->near);
	free(s);
}

const struct levee_snapshot *levee_snapshot_get(const struct levee_snapshot *snapshot)
{
	__atomic_add_fetch(&((struct levee_snapshot *)snapshot)->refs, 1, __ATOMIC_RELAXED);
	return snapshot;
}

void levee_snapshot_put(const struct levee_snapshot **snapshot)
{
	struct levee_snapshot *s = (struct levee_snapshot *)*snapshot;

	*snapshot = NULL;
	if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free_snapshot(s);
}

void levee_board_publish(struct levee_board *board, struct levee_snapshot *snapshot)
{
	const struct levee_snapshot *old;

	pthread_mutex_lock(&board->lock);
	snapshot->seq = ++board->seq;
	old = board->snapshot;
	board->snapshot = snapshot;
	pthread_cond_broadcast(&board->changed);
	pthread_mutex_unlock(&board->lock);
	levee_snapshot_put(&old);
}

const struct levee_snapshot *levee_board_snapshot(struct levee_board *board)
{
	struct levee_snapshot *s;

	pthread_mutex_lock(&board->lock);
	s = board->snapshot;
	if (s)
		__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	board->was_read = true;
	pthread_mutex_unlock(&board->lock);
	return s;
}

bool levee_board_was_read(struct levee_board *board)
{
	bool was_read;

	pthread_mutex_lock(&board->lock);
	was_read = board->was_read;
	board->was_read = false;
	pthread_mutex_unlock(&board->lock);
	return was_read;
}

/* Wait until *value is above `seen`. The lock is held. */
static int wait_above(struct levee_board *board, const uint64_t *value, uint64_t seen,
		      int timeout_ms)
{
	struct timespec deadline;

	find_deadline(&deadline, timeout_ms);
	while (!board->closed && *value <= seen)
		if (pthread_cond_timedwait(&board->changed, &board->lock, &deadline))
			break;
	if (board->closed)
		return -ESHUTDOWN;
	return *value > seen ? 0 : -ETIMEDOUT;
}

int levee_board_wait(struct levee_board *board, uint64_t seen_seq, int timeout_ms)
{
	int ret;

	pthread_mutex_lock(&board->lock);
	ret = wait_above(board, &board->seq, seen_seq, timeout_ms);
	pthread_mutex_unlock(&board->lock);
	return ret;
}

/* ---- looking something up in a snapshot ---------------------------------------------------- */

/* The arrays of a snapshot are ordered by prefix, which each element begins with. */
_Static_assert(offsetof(struct levee_board_block, block.prefix) == 0, "found by find_exact()");
_Static_assert(offsetof(struct levee_board_allowed, prefix) == 0, "found by find_exact()");
_Static_assert(offsetof(struct levee_board_exemption, prefix) == 0, "found by find_exact()");

static int compare_prefixes(const void *key, const void *element)
{
	return levee_prefix_compare(key, element);
}

static const void *find_exact(const void *array, size_t n, size_t size,
			      const struct levee_prefix *prefix)
{
	return n ? bsearch(prefix, array, n, size, compare_prefixes) : NULL;
}

/* The shortest that contains all of it: a look-up for each length there can be. */
static const void *find_covering(const void *array, size_t n, size_t size,
				 const struct levee_prefix *prefix)
{
	const void *found = NULL;
	struct levee_prefix outer;

	for (unsigned int length = 0; n && !found && length <= prefix->length; length++) {
		outer = *prefix;
		outer.length = (uint8_t)length;
		levee_prefix_canon(&outer);
		found = find_exact(array, n, size, &outer);
	}
	return found;
}

const struct levee_board_block *levee_snapshot_block(const struct levee_snapshot *snapshot,
						     const struct levee_prefix *prefix)
{
	return find_exact(snapshot->blocks, snapshot->n_blocks, sizeof(*snapshot->blocks), prefix);
}

const struct levee_board_block *levee_snapshot_covering(const struct levee_snapshot *snapshot,
							const struct levee_prefix *prefix)
{
	return find_covering(snapshot->blocks, snapshot->n_blocks, sizeof(*snapshot->blocks),
			     prefix);
}

const struct levee_board_allowed *levee_snapshot_allowed(const struct levee_snapshot *snapshot,
							 const struct levee_prefix *prefix)
{
	return find_covering(snapshot->allowed, snapshot->n_allowed, sizeof(*snapshot->allowed),
			     prefix);
}

const struct levee_board_exemption *levee_snapshot_exempt(const struct levee_snapshot *snapshot,
							  const struct levee_prefix *prefix)
{
	return find_covering(snapshot->exemptions, snapshot->n_exemptions,
			     sizeof(*snapshot->exemptions), prefix);
}

/* ---- making and unmaking ----------------------------------------------------------------- */

int levee_board_new(struct levee_board **out, uint64_t unix_ns)
{
	struct levee_board *board = calloc(1, sizeof(*board));
	int ret = -ENOMEM;

	*out = NULL;
	if (!board)
		return ret;
	board->last = &board->first;
	/* A million ids a second: JavaScript counts to 2^53 exactly, which is the year 2255. */
	board->first_id = unix_ns / 1000;
	board->next_id = board->first_id;
	board->fd = -1;
	board->entries = calloc(LEVEE_BOARD_EVENTS, sizeof(*board->entries));
	if (!board->entries)
		goto free_board;
	board->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (board->fd < 0) {
		ret = -errno;
		goto free_board;
	}
	ret = init_condition(&board->changed);
	if (ret)
		goto free_board;
	pthread_mutex_init(&board->lock, NULL);
	pthread_mutex_init(&board->services_lock, NULL);
	*out = board;
	return 0;

free_board:
	if (board->fd >= 0)
		close(board->fd);
	free(board->entries);
	free(board);
	return ret;
}

static void answer(struct ticket *ticket)
{
	ticket->done(ticket->ctx, &ticket->request);
	free(ticket);
}

static void answer_all(struct ticket *first)
{
	while (first) {
		struct ticket *next = first->next;

		answer(first);
		first = next;
	}
}

/* The queue, which is empty then. */
static struct ticket *take_waiting(struct levee_board *board)
{
	struct ticket *first;

	pthread_mutex_lock(&board->lock);
	first = board->first;
	board->first = NULL;
	board->last = &board->first;
	board->waiting = 0;
	pthread_mutex_unlock(&board->lock);
	return first;
}

void levee_board_close(struct levee_board *board)
{
	struct ticket *waiting;

	pthread_mutex_lock(&board->lock);
	board->closed = true;
	pthread_cond_broadcast(&board->changed);
	pthread_mutex_unlock(&board->lock);
	waiting = take_waiting(board);
	for (struct ticket *t = waiting; t; t = t->next) {
		if (t->executed)
			continue;
		t->request.result = -ESHUTDOWN;
		snprintf(t->request.message, sizeof(t->request.message), "levee is stopping");
	}
	answer_all(waiting);
}

void levee_board_free(struct levee_board **board)
{
	struct levee_board *b = *board;

	*board = NULL;
	if (!b)
		return;
	levee_snapshot_put((const struct levee_snapshot **)&b->snapshot);
	pthread_mutex_destroy(&b->services_lock);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->changed);
	close(b->fd);
	free(b->entries);
	free(b);
}

/* ---- requests ---------------------------------------------------------------------------- */

void levee_request_clear(struct levee_request *request)
{
	free(request->source.bins);
	request->source.bins = NULL;
	request->source.n_bins = 0;
}

/* \return 0; -errno, and the ticket is still the caller's */
static int enqueue(struct levee_board *board, struct ticket *ticket)
{
	int ret = 0;

	pthread_mutex_lock(&board->lock);
	if (board->closed)
		ret = -ESHUTDOWN;
	else if (board->waiting >= WAITING_MAX)
		ret = -EBUSY;
	if (!ret) {
		*board->last = ticket;
		board->last = &ticket->next;
		board->waiting++;
		eventfd_write(board->fd, 1);
	}
	pthread_mutex_unlock(&board->lock);
	return ret;
}

int levee_board_submit(struct levee_board *board, const struct levee_request *request,
		       void (*done)(void *ctx, struct levee_request *answered), void *ctx)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));
	int ret;

	if (!ticket)
		return -ENOMEM;
	ticket->request = *request;
	ticket->done = done;
	ticket->ctx = ctx;
	ret = enqueue(board, ticket);
	if (ret)
		free(ticket);
	return ret;
}

static void drop_waiter(struct waiter *w)
{
	bool is_last;

	pthread_mutex_lock(&w->lock);
	is_last = --w->refs == 0;
	pthread_mutex_unlock(&w->lock);
	if (!is_last)
		return;
	levee_request_clear(&w->request);
	pthread_cond_destroy(&w->answered);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void wake_waiter(void *ctx, struct levee_request *answered)
{
	struct waiter *w = ctx;

	pthread_mutex_lock(&w->lock);
	w->request = *answered;
	w->is_answered = true;
	pthread_cond_signal(&w->answered);
	pthread_mutex_unlock(&w->lock);
	drop_waiter(w);
}

static int await(struct waiter *w, struct levee_request *request, int timeout_ms)
{
	struct timespec deadline;
	int ret = 0;

	find_deadline(&deadline, timeout_ms);
	pthread_mutex_lock(&w->lock);
	while (!w->is_answered && !ret)
		ret = pthread_cond_timedwait(&w->answered, &w->lock, &deadline);
	if (w->is_answered) {
		*request = w->request;
		w->request.source.bins = NULL;
		ret = request->result == -ESHUTDOWN ? ESHUTDOWN : 0;
	}
	pthread_mutex_unlock(&w->lock);
	return -ret;
}

int levee_board_call(struct levee_board *board, struct levee_request *request, int timeout_ms)
{
	struct waiter *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return -ENOMEM;
	ret = init_condition(&w->answered);
	if (ret) {
		free(w);
		return ret;
	}
	pthread_mutex_init(&w->lock, NULL);
	w->refs = 2;
	ret = levee_board_submit(board, request, wake_waiter, w);
	if (ret)
		drop_waiter(w);
	else
		ret = await(w, request, timeout_ms);
	drop_waiter(w);
	return ret;
}

int levee_board_fd(const struct levee_board *board)
{
	return board->fd;
}

bool levee_board_has_requests(const struct levee_board *board)
{
	return __atomic_load_n(&board->waiting, __ATOMIC_RELAXED) > 0;
}

static bool is_urgent(const struct levee_request *request)
{
	return request->type == LEVEE_REQUEST_BLOCK || request->type == LEVEE_REQUEST_UNBLOCK ||
	       request->type == LEVEE_REQUEST_ALLOW_ADD;
}

size_t levee_board_serve_urgent(struct levee_board *board,
				void (*execute)(void *ctx, struct levee_request *request),
				void *ctx)
{
	struct ticket *t;
	size_t n = 0;

	/* Only this thread takes tickets off; others add behind the last one, under the lock. */
	pthread_mutex_lock(&board->lock);
	for (t = board->first; t; t = t->next) {
		if (t->executed || !is_urgent(&t->request))
			continue;
		pthread_mutex_unlock(&board->lock);
		execute(ctx, &t->request);
		t->executed = true;
		n++;
		pthread_mutex_lock(&board->lock);
	}
	pthread_mutex_unlock(&board->lock);
	return n;
}

void levee_board_await(struct levee_board *board, int fd,
		       void (*execute)(void *ctx, struct levee_request *request), void *ctx)
{
	struct pollfd ready[] = { { .fd = fd, .events = POLLIN },
				  { .fd = board->fd, .events = POLLIN } };
	eventfd_t unused;

	do {
		/* Emptied, or those that are not urgent would wake us again and again. */
		(void)eventfd_read(board->fd, &unused);
		levee_board_serve_urgent(board, execute, ctx);
		ready[0].revents = 0;
	} while (poll(ready, 2, -1) < 0 || !ready[0].revents);
	if (levee_board_has_requests(board))
		eventfd_write(board->fd, 1);
}

size_t levee_board_serve(struct levee_board *board,
			 void (*execute)(void *ctx, struct levee_request *request),
			 void (*after)(void *ctx), void *ctx)
{
	struct ticket *first;
	eventfd_t unused;
	size_t n = 0;

	/* Emptied first: a request that comes in between is seen at the next wake-up. */
	(void)eventfd_read(board->fd, &unused);
	first = take_waiting(board);
	for (struct ticket *t = first; t; t = t->next, n++)
		if (!t->executed)
			execute(ctx, &t->request);
	if (n && after)
		after(ctx);
	answer_all(first);
	return n;
}

/* ---- events ------------------------------------------------------------------------------ */

/* The lock is held. */
static uint64_t note(struct levee_board *board, const struct levee_board_entry *entry)
{
	struct levee_board_entry *at = &board->entries[board->next_id % LEVEE_BOARD_EVENTS];

	*at = *entry;
	at->id = board->next_id++;
	if (!at->unix_ns)
		at->unix_ns = unix_now_ns();
	pthread_cond_broadcast(&board->changed);
	return at->id;
}

uint64_t levee_board_event(struct levee_board *board, const struct levee_board_entry *entry)
{
	uint64_t id;

	pthread_mutex_lock(&board->lock);
	id = note(board, entry);
	pthread_mutex_unlock(&board->lock);
	return id;
}

/* Id of the oldest event that is kept. */
static uint64_t oldest(const struct levee_board *board)
{
	if (board->next_id - board->first_id <= LEVEE_BOARD_EVENTS)
		return board->first_id;
	return board->next_id - LEVEE_BOARD_EVENTS;
}

size_t levee_board_events(struct levee_board *board, uint64_t after,
			  struct levee_board_entry *entries, size_t max, uint64_t *missed)
{
	uint64_t id;
	size_t n = 0;

	pthread_mutex_lock(&board->lock);
	id = oldest(board);
	/* Ids from before this process began say nothing about how many there were. */
	*missed = after >= board->first_id && after + 1 < id ? id - after - 1 : 0;
	if (after >= id)
		id = after + 1;
	for (; id < board->next_id && n < max; id++)
		entries[n++] = board->entries[id % LEVEE_BOARD_EVENTS];
	pthread_mutex_unlock(&board->lock);
	return n;
}

uint64_t levee_board_last_event(struct levee_board *board)
{
	uint64_t id;

	pthread_mutex_lock(&board->lock);
	id = board->next_id - 1;
	pthread_mutex_unlock(&board->lock);
	return id;
}

int levee_board_wait_event(struct levee_board *board, uint64_t after, int timeout_ms)
{
	int ret;

	pthread_mutex_lock(&board->lock);
	/* The newest is next_id - 1: there is one after `after` if next_id > after + 1. */
	ret = wait_above(board, &board->next_id, after + 1, timeout_ms);
	pthread_mutex_unlock(&board->lock);
	return ret;
}

/* ---- health ------------------------------------------------------------------------------ */

static struct levee_board_problem *find_problem(struct levee_board *board, const char *name)
{
	for (size_t i = 0; i < board->n_problems; i++)
		if (!strcmp(board->problems[i].name, name))
			return &board->problems[i];
	return NULL;
}

/* The lock is held. */
static void note_health(struct levee_board *board, const char *name, const char *text)
{
	struct levee_board_entry entry = { .kind = "health" };

	snprintf(entry.subject, sizeof(entry.subject), "%s", name);
	snprintf(entry.text, sizeof(entry.text), "%s", text);
	note(board, &entry);
}

static void set_problem(struct levee_board *board, const char *name, bool not_ready,
			const char *text)
{
	struct levee_board_problem *p = find_problem(board, name);
	bool is_new = !p || p->not_ready != not_ready ||
		      strncmp(p->text, text, sizeof(p->text) - 1);

	if (!p) {
		if (board->n_problems == LEVEE_BOARD_PROBLEMS)
			return;
		p = &board->problems[board->n_problems++];
		*p = (struct levee_board_problem){ .since_unix_ns = unix_now_ns() };
		snprintf(p->name, sizeof(p->name), "%s", name);
	}
	p->not_ready = not_ready;
	snprintf(p->text, sizeof(p->text), "%s", text);
	if (is_new)
		note_health(board, name, p->text);
}

static void end_problem(struct levee_board *board, const char *name)
{
	struct levee_board_problem *p = find_problem(board, name);
	size_t after;

	if (!p)
		return;
	after = board->n_problems - (size_t)(p - board->problems) - 1;
	memmove(p, p + 1, after * sizeof(*p));
	board->n_problems--;
	note_health(board, name, "right again");
}

void levee_board_health(struct levee_board *board, const char *name, bool not_ready,
			const char *text)
{
	pthread_mutex_lock(&board->lock);
	if (text)
		set_problem(board, name, not_ready, text);
	else
		end_problem(board, name);
	pthread_mutex_unlock(&board->lock);
}

size_t levee_board_problems(struct levee_board *board,
			    struct levee_board_problem problems[static LEVEE_BOARD_PROBLEMS])
{
	size_t n;

	pthread_mutex_lock(&board->lock);
	n = board->n_problems;
	memcpy(problems, board->problems, n * sizeof(*problems));
	pthread_mutex_unlock(&board->lock);
	return n;
}

/* ---- services ---------------------------------------------------------------------------- */

int levee_board_register(struct levee_board *board, const struct levee_board_service *service)
{
	int ret = -ENOSPC;

	pthread_mutex_lock(&board->services_lock);
	for (size_t i = 0; i < LEVEE_BOARD_SERVICES; i++)
		if (board->services[i].name && !strcmp(board->services[i].name, service->name))
			ret = -EEXIST;
	for (size_t i = 0; ret == -ENOSPC && i < LEVEE_BOARD_SERVICES; i++) {
		if (board->services[i].name)
			continue;
		board->services[i] = *service;
		ret = 0;
	}
	pthread_mutex_unlock(&board->services_lock);
	return ret;
}

void levee_board_withdraw(struct levee_board *board, const struct levee_board_service *service)
{
	pthread_mutex_lock(&board->services_lock);
	for (size_t i = 0; i < LEVEE_BOARD_SERVICES; i++)
		if (board->services[i].name && !strcmp(board->services[i].name, service->name))
			board->services[i] = (struct levee_board_service){ 0 };
	pthread_mutex_unlock(&board->services_lock);
}

int levee_board_service_status(struct levee_board *board, const char *name, struct levee_json *j)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&board->services_lock);
	for (size_t i = 0; ret && i < LEVEE_BOARD_SERVICES; i++) {
		const struct levee_board_service *s = &board->services[i];

		if (!s->name || strcmp(s->name, name))
			continue;
		s->status(s->ctx, j);
		ret = 0;
	}
	pthread_mutex_unlock(&board->services_lock);
	return ret;
}

void levee_board_service_explain(struct levee_board *board, const struct levee_prefix *source,
				 struct levee_json *j)
{
	pthread_mutex_lock(&board->services_lock);
	for (size_t i = 0; i < LEVEE_BOARD_SERVICES; i++) {
		const struct levee_board_service *s = &board->services[i];

		if (!s->name || !s->explain)
			continue;
		levee_json_object(j, s->name);
		s->explain(s->ctx, source, j);
		levee_json_end(j);
	}
	pthread_mutex_unlock(&board->services_lock);
}

void levee_board_service_metrics(struct levee_board *board, FILE *out)
{
	pthread_mutex_lock(&board->services_lock);
	for (size_t i = 0; i < LEVEE_BOARD_SERVICES; i++) {
		const struct levee_board_service *s = &board->services[i];

		if (s->name && s->metrics)
			s->metrics(s->ctx, out);
	}
	pthread_mutex_unlock(&board->services_lock);
}
