/* SPDX-License-Identifier: BSD-2-Clause */
/* What the other threads ask the controller's thread to do. */
#include "control/run_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void levee_run_answer(struct levee_request *request, int result, const char *format, ...)
{
	va_list args;

	request->result = result;
	va_start(args, format);
	vsnprintf(request->message, sizeof(request->message), format, args);
	va_end(args);
}

/* ---- one source -------------------------------------------------------------------------- */

static int by_source(const void *key, const void *element)
{
	const struct levee_candidate *candidate = element;

	return levee_prefix_compare(key, &candidate->source);
}

static void view_bin(const struct levee_run *r, const struct levee_candidate *candidate,
		     int64_t start_s, struct levee_source_bin *out)
{
	const struct levee_moments *m = &r->view.evaluation.moments;
	const struct levee_detect_params *limits = &r->controller.options.detect;

	*out = (struct levee_source_bin){
		.start_s = start_s,
		.packets = candidate->packets,
		.bytes = candidate->bytes,
		.zscore = levee_moments_zscore(m, candidate->packets),
		.abnormal = candidate->packets > limits->min_packets &&
			    levee_moments_above(m, candidate->packets, limits->min_zscore),
	};
}

static void view_last(const struct levee_run_view *v, struct levee_source_view *view)
{
	for (size_t i = 0; i < v->n_top; i++) {
		if (levee_prefix_compare(&v->top[i].prefix, &view->source))
			continue;
		view->in_last = true;
		view->last_packets = v->top[i].packets;
		view->last_bytes = v->top[i].bytes;
		return;
	}
	/* With fewer than could be named, it sent nothing. */
	view->last_at_most = v->n_top < LEVEE_BOARD_TOP ? 0 : v->top[v->n_top - 1].packets;
}

static void show_source(const struct levee_run *r, struct levee_request *request)
{
	const struct levee_window *window = r->controller.window;
	struct levee_source_view *view = &request->source;
	size_t n = levee_window_bins(window);

	*view = (struct levee_source_view){ .source = request->prefix };
	if (view->source.family == 6 && view->source.length > r->dp->source6_length) {
		view->source.length = r->dp->source6_length;
		levee_prefix_canon(&view->source);
	}
	view->bins = calloc(n + 1, sizeof(*view->bins));
	if (!view->bins) {
		levee_run_answer(request, -ENOMEM, "no memory");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct levee_bin_record *record = levee_window_bin(window, i);
		const struct levee_candidate *found =
			record->n_candidates
				? bsearch(&view->source, record->candidates, record->n_candidates,
					  sizeof(*record->candidates), by_source)
				: NULL;

		if (found)
			view_bin(r, found, record->start_s, &view->bins[view->n_bins++]);
	}
	view->in_running = levee_bin_sources(r->controller.bin) > 0;
	view->running_packets = levee_bin_get(r->controller.bin, &view->source);
	view_last(&r->view, view);
}

/* ---- all of them ------------------------------------------------------------------------- */

void levee_run_execute(void *ctx, struct levee_request *request)
{
	struct levee_run *r = ctx;

	request->result = 0;
	request->message[0] = '\0';
	r->fleet.quiet = request->local;
	switch (request->type) {
	case LEVEE_REQUEST_BLOCK:
		levee_run_do_block(r, request);
		break;
	case LEVEE_REQUEST_UNBLOCK:
		levee_run_do_unblock(r, request);
		break;
	case LEVEE_REQUEST_EXEMPT_END:
		levee_run_do_exempt_end(r, request);
		break;
	case LEVEE_REQUEST_ALLOW_ADD:
		levee_run_do_allow_add(r, request);
		break;
	case LEVEE_REQUEST_ALLOW_REMOVE:
		levee_run_do_allow_remove(r, request);
		break;
	case LEVEE_REQUEST_SOURCE:
		show_source(r, request);
		break;
	case LEVEE_REQUEST_RELOAD:
		levee_run_reload(r, request);
		break;
	case LEVEE_REQUEST_DRILL:
		levee_run_do_drill(r, request);
		break;
	case LEVEE_REQUEST_DRILL_END:
		levee_run_do_drill_end(r, request);
		break;
	default:
		levee_run_answer(request, -EOPNOTSUPP, "not possible in this version");
	}
	r->fleet.quiet = false;
}
