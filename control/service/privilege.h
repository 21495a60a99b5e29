/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a daemon that is not root may still do. It starts with CAP_BPF, CAP_NET_ADMIN and
 * CAP_PERFMON; once attached it needs CAP_BPF to read and write maps where the kernel is strict,
 * and the other two for the moment in which an interface that came back is attached to again, or a
 * reload wants another program.
 *
 * Capabilities belong to threads, and a new thread has those of the one that starts it: services,
 * which talk to the outside, are started by levee_privilege_run(), and their threads have none.
 *
 * A daemon that was started by root keeps what root has: whoever does that wants it.
 */
#ifndef LEVEE_PRIVILEGE_H
#define LEVEE_PRIVILEGE_H

/**
 * After attaching: CAP_BPF stays in effect, CAP_NET_ADMIN and CAP_PERFMON can be taken up again, all
 * else goes for good, and children get nothing.
 * \return 0, also for root; -errno
 */
int levee_privilege_reduce(void);

/** Both for what follows, and back, after levee_privilege_reduce(). \return 0; -errno */
int levee_privilege_raise(void);
int levee_privilege_lower(void);

/**
 * Call start(ctx) on a thread without any capability, and wait for it: what it starts has none
 * either, and can get none back. By root it is simply called.
 * \return what it returned; -errno if there is no such thread, and it was not called
 */
int levee_privilege_run(int (*start)(void *ctx), void *ctx);

/** The same, but what is started has CAP_BPF, and cannot get more. */
int levee_privilege_run_bpf(int (*start)(void *ctx), void *ctx);

#endif
