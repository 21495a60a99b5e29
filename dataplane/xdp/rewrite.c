/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is known of a program's maps when it is loaded, written into its instructions.
 *
 * The kernel's compiler takes a program as it is: a constant of .rodata is loaded from memory each
 * time, and in an ARRAY of one value an index is checked each time, by way of the stack. Here a load of
 * a constant becomes the constant, and such a map is named by the address of its value
 * (BPF_PSEUDO_MAP_VALUE), as libbpf does it for data sections, whose sizes are those that they were
 * compiled with. No instruction moves, so no jump and no line number does; the verifier drops the
 * empty ones.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/xdp/xdp_internal.h"

/* The read-only map of a program; it has one. */
struct constants {
	int fd;
	uint32_t size;
	char *bytes; /* NULL: not read yet */
};

static const struct bpf_insn nothing = { .code = BPF_JMP | BPF_JA };

static int read_constants(struct constants *c, int fd, uint32_t size)
{
	uint32_t zero = 0;

	if (c->bytes && c->fd == fd)
		return 0;
	free(c->bytes);
	c->fd = fd;
	c->size = size;
	c->bytes = calloc(1, size + 8U); /* the kernel copies multiples of 8 bytes */
	if (!c->bytes)
		return -ENOMEM;
	return bpf_map_lookup_elem(fd, &zero, c->bytes) ? -errno : 0;
}

/*
 * An address, in two places, and the load through it into the same register: CONSTANT() of
 * ebpf/maps.bpf.h, between whose instructions nothing comes and nobody jumps.
 */
static void fold_load(const struct constants *c, struct bpf_insn *address, struct bpf_insn *load)
{
	bool wide = load->code == (BPF_LDX | BPF_MEM | BPF_DW);
	int64_t offset = (int64_t)(uint32_t)address[1].imm + load->off;
	uint64_t value = 0;

	if ((!wide && load->code != (BPF_LDX | BPF_MEM | BPF_W)) ||
	    load->src_reg != address->dst_reg || load->dst_reg != address->dst_reg)
		return;
	if (offset < 0 || offset + (wide ? 8 : 4) > c->size)
		return;
	memcpy(&value, c->bytes + offset, wide ? 8 : 4);
	if (wide) {
		address[0].src_reg = 0;
		address[0].imm = (int32_t)value;
		address[1].imm = (int32_t)(value >> 32);
		*load = nothing;
		return;
	}
	*load = (struct bpf_insn){ .code = BPF_ALU | BPF_MOV | BPF_K,
				   .dst_reg = load->dst_reg,
				   .imm = (int32_t)value };
	address[0] = nothing;
	address[1] = nothing;
}

/* An address of something at insn[0] and [1], which are not the last ones: a program ends with exit. */
static int rewrite_address(struct constants *c, struct bpf_insn *insn)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int ret;

	if (insn->src_reg != BPF_PSEUDO_MAP_FD && insn->src_reg != BPF_PSEUDO_MAP_VALUE)
		return 0;
	if (bpf_obj_get_info_by_fd(insn->imm, &info, &len))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.max_entries != 1)
		return 0;
	if (insn->src_reg == BPF_PSEUDO_MAP_FD) {
		if (levee_mapset_is_direct(info.name)) {
			insn[0].src_reg = BPF_PSEUDO_MAP_VALUE;
			insn[1].imm = 0;
		}
		return 0;
	}
	if (!(info.map_flags & BPF_F_RDONLY_PROG))
		return 0;
	ret = read_constants(c, insn->imm, info.value_size);
	if (!ret)
		fold_load(c, insn, insn + 2);
	return ret;
}

static int rewrite(struct bpf_program *program, struct bpf_prog_load_opts *opts, long cookie)
{
	size_t n = bpf_program__insn_cnt(program);
	struct constants constants = { .fd = -1 };
	struct bpf_insn *insn = malloc(n * sizeof(*insn));
	int ret = insn ? 0 : -ENOMEM;

	(void)opts;
	(void)cookie;
	if (insn)
		memcpy(insn, bpf_program__insns(program), n * sizeof(*insn));
	for (size_t i = 0; !ret && i + 2 < n; i++)
		if (insn[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			ret = rewrite_address(&constants, &insn[i++]);
	if (!ret)
		ret = bpf_program__set_insns(program, insn, n);
	free(constants.bytes);
	free(insn);
	return ret;
}

int levee_rewrite_register(void)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = rewrite);
	static int handler = -1;

	if (handler < 0)
		handler = libbpf_register_prog_handler("xdp.frags", BPF_PROG_TYPE_XDP, BPF_XDP,
						       &opts);
	return handler < 0 ? handler : 0;
}
