/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/stream.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include <levee/compiler.h>

#include "dataplane/xdp/xdp.h"
#include "tests/kernel/stream.skel.h"
#include "tests/support/frame.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

#define LIST_BYTES (STREAM_LIST_MAX * sizeof(struct stream_source))

/* A program goes on only to one that is loaded as it is itself. */
static int load(struct levee_stream *s, const struct levee_xdp_fixture *f)
{
	uint32_t zero = 0;
	int fd = levee_xdp_program_fd(f->dp);

	s->skel = stream_bpf__open();
	if (!s->skel)
		return -1;
	bpf_program__set_flags(s->skel->progs.make_packet,
			       levee_xdp_has_frags(f) ? BPF_F_XDP_HAS_FRAGS : 0);
	if (stream_bpf__load(s->skel))
		return -1;
	s->fd = bpf_program__fd(s->skel->progs.make_packet);
	return bpf_map_update_elem(bpf_map__fd(s->skel->maps.program), &zero, &fd, BPF_ANY);
}

void levee_stream_open(struct levee_stream *s, const struct levee_xdp_fixture *f)
{
	void *area;

	*s = (struct levee_stream){ 0 };
	if (load(s, f))
		fail_msg("the generator cannot be loaded");
	area = mmap(NULL, LIST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    bpf_map__fd(s->skel->maps.list), 0);
	assert_true(area != MAP_FAILED);
	s->list = area;
}

void levee_stream_close(struct levee_stream *s)
{
	if (s->list)
		munmap(s->list, LIST_BYTES);
	stream_bpf__destroy(s->skel);
	*s = (struct levee_stream){ 0 };
}

void levee_stream_list(struct levee_stream *s, const struct stream_source *sources, size_t n)
{
	assert_true(n > 0 && n <= STREAM_LIST_MAX);
	memcpy(s->list, sources, n * sizeof(*sources));
	s->skel->bss->stream.at = 0;
	s->skel->bss->stream.every = 1;
	s->skel->bss->stream.n = n;
}

void levee_stream_never(struct levee_stream *s, uint8_t family, uint64_t first, uint64_t every)
{
	s->skel->bss->stream.at = 0;
	s->skel->bss->stream.every = every;
	s->skel->bss->stream.next = first;
	s->skel->bss->stream.family = family;
}

uint64_t levee_stream_next(const struct levee_stream *s)
{
	return levee_read_once(s->skel->bss->stream.next);
}

void levee_stream_run(struct levee_stream *s, uint32_t packets, size_t len)
{
	uint64_t before = levee_read_once(s->skel->bss->stream.at);
	static uint8_t frame[LEVEE_FRAME_MAX];
	uint32_t verdict;
	int ret;

	if (!packets)
		return;
	assert_true(len >= 60 && len <= sizeof(frame));
	ret = levee_xdp_run_program(s->fd, frame, len, packets, &verdict);
	if (ret)
		fail_msg("the kernel does not run the generator: %s", strerror(-ret));
	assert_int_not_equal(verdict, 0); /* XDP_ABORTED: it did not reach the program */
	assert_int_equal(levee_read_once(s->skel->bss->stream.at) - before, packets);
}
