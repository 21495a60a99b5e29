# SPDX-License-Identifier: BSD-2-Clause
#
# Levee. `make help` lists what there is to make; V=1 shows the commands, SAN=1 builds with
# ASan and UBSan into a tree of its own.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

V      ?= 0
SAN    ?= 0
PREFIX ?= /usr/local
MANDIR  = $(DESTDIR)$(PREFIX)/share/man
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
DATADIR = $(DESTDIR)$(PREFIX)/share
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

ifeq ($(SAN),1)
B := .build/san
else
B := .build/release
endif

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n'
endif

CC      ?= cc
CLANG   ?= clang
BPFTOOL ?= $(or $(shell command -v bpftool 2>/dev/null),/usr/sbin/bpftool)
ARCH    := $(shell uname -m)

WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wformat=2 -Wundef -Wvla -Werror
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -Iinclude -I. -isystem $(B)
# A header, so that another commit rebuilds the few files that print the version, and no others.
VERSION_LINE := \#define LEVEE_VERSION "$(VERSION)"
$(shell mkdir -p $(B) && printf '%s\n' '$(VERSION_LINE)' | cmp -s - $(B)/levee_version.h || \
	printf '%s\n' '$(VERSION_LINE)' >$(B)/levee_version.h)
ALL_CFLAGS := -std=c17 $(WARN) -fno-strict-aliasing -fstack-protector-strong $(CFLAGS)
ALL_LDFLAGS := -Wl,--as-needed $(LDFLAGS)
ifeq ($(SAN),1)
ALL_CFLAGS  += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ALL_LDFLAGS += -fsanitize=address,undefined
else
ALL_CFLAGS  += -D_FORTIFY_SOURCE=2 -fPIE
ALL_LDFLAGS += -pie -Wl,-z,relro,-z,now
endif

# DPDK is built in where its library is; WITH_DPDK=0 leaves it out. Its flags, -march among them,
# are for the files that use it alone. Headers of others must not break our warnings. What -march
# may use is DPDK's to say; but its corei7 would also be tuned for, and then scans bits with BSF,
# which on AMD takes several times as long as TZCNT.
PKG_CONFIG ?= pkg-config
WITH_DPDK  ?= $(shell $(PKG_CONFIG) --atleast-version=21.11 libdpdk 2>/dev/null && echo 1 || echo 0)
ifeq ($(WITH_DPDK),1)
DPDK_CPPFLAGS := -DWITH_DPDK $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags libdpdk 2>/dev/null)) -mtune=generic
DPDK_LIBS     := $(shell $(PKG_CONFIG) --libs libdpdk 2>/dev/null)
endif
LIBS := $(DPDK_LIBS) -lhiredis -lbpf -lpcap -lsqlite3 -linih -lcurl -lssl -lcrypto -lexpat -ljansson -lcap -lmicrohttpd -lncursesw -ltinfo -lm

# ---- what there is to build -------------------------------------------------------------------

BPF_OBJ  := $(patsubst %.bpf.c,$(B)/%.bpf.o,$(wildcard ebpf/*.bpf.c))
BPF_SKEL := $(BPF_OBJ:.bpf.o=.skel.h)
TBPF_SKEL := $(patsubst %.bpf.c,$(B)/%.skel.h,$(wildcard tests/*/*.bpf.c tools/*/*.bpf.c))

# Files that are built into the program: NAME becomes NAME.h, the bytes as a C initialiser.
EMBEDDED := control/api/openapi.json
EMBEDDED_H := $(EMBEDDED:%=$(B)/%.h)

# The page, bundled by npm's esbuild; WITH_PAGE=0 leaves it out, and so does a machine without npm.
WITH_PAGE ?= 1
PAGE_H := $(B)/page/files.h

LIB_SRC := $(sort $(filter-out control/main.c,$(wildcard dataplane/*.c dataplane/*/*.c control/*.c control/*/*.c)))
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
LIB     := $(B)/liblevee.a
LEVEE   := $(B)/levee

# A tool is a folder below tools/ with a C file of the same name, its main, in it. The other C
# files of all tools make one library, so that tests can reach them.
TOOL_SRC := $(foreach d,$(wildcard tools/*),$(wildcard $(d)/$(notdir $(d)).c))
TOOLS    := $(foreach s,$(TOOL_SRC),$(B)/$(dir $(s))$(notdir $(s:.c=)))
TOOL_LIB_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(filter-out $(TOOL_SRC) %.bpf.c,$(wildcard tools/*/*.c))))
TOOL_LIB := $(if $(TOOL_LIB_OBJ),$(B)/libtools.a)

# Man pages: templates with what the program's tables say in them.
MAN := $(patsubst tools/man/%.in,$(B)/man/%,$(wildcard tools/man/*.in))
DATE := $(shell git log -1 --format=%cs 2>/dev/null || date -u -r Makefile +%F)

# systemd units: two from one template.
UNITS := $(B)/systemd/levee.service $(B)/systemd/levee@.service
PLAIN_UNITS := tools/deploy/systemd/levee-pins@.service

# Where the shells look for completion, below share/; `levee completion SHELL` prints it.
COMPLETIONS := bash-completion/completions/levee zsh/site-functions/_levee \
	fish/vendor_completions.d/levee.fish
shell_of = $(firstword $(subst -, ,$(subst /, ,$1)))

# Unit tests mirror the tree; kernel tests need root and BPF; scripts run the whole program.
TEST_SRC := $(sort $(shell find tests -name 'test_*.c' -not -path 'tests/kernel/*'))
TESTS    := $(TEST_SRC:%.c=$(B)/%)
KTEST_SRC := $(sort $(wildcard tests/kernel/test_*.c))
KTESTS   := $(KTEST_SRC:%.c=$(B)/%)
TEST_LIB_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))
STESTS   := $(sort $(wildcard tests/system/test_*.sh tests/tools/test_*.sh tests/control/aws/test_*.sh tests/aws/test_*.sh))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=.build/fuzz/%)
FUZZ_SECONDS ?= 60
UNIT_JOBS    ?= $(shell nproc)

DEPS := $(shell find $(B) .build/fuzz -name '*.d' 2>/dev/null)

# ---- the targets a person types ---------------------------------------------------------------

.PHONY: old-kernel fleet-proof deb rpm deb-test help deps all demo check bench install uninstall clean tests unit kernel system fuzz format lint

help:
	@echo 'make            build the program (as `make all`)'
	@echo 'make deps       install what is missing from the distribution (apt or dnf)'
	@echo 'make demo       root: install, build, and show a flood being found and dropped'
	@echo 'make check      root: install, build, and run every test'
	@echo 'make bench      root: measure, and print one table of ratios'
	@echo 'make install    into PREFIX=$(PREFIX), below DESTDIR if that is set'
	@echo 'make uninstall  the reverse; configuration and state are kept'
	@echo 'make deb        a Debian package below .build/deb, looked at by lintian'
	@echo 'make rpm        an RPM package (Amazon Linux 2023); elsewhere one that shows that the spec builds'
	@echo 'make deb-test   root: install, upgrade, run and remove it in a clean Debian system'
	@echo 'make clean      remove .build'
	@echo
	@echo 'make unit | kernel | system | fuzz | lint     the parts of check'
	@echo 'make fleet-proof  root: eight daemons, twenty crossings, a hundred rounds of chaos (an hour)'
	@echo 'make old-kernel  root: tests of the XDP data path on Linux 6.1 in qemu (some minutes)'
	@echo 'make format     let clang-format have its way'
	@echo
	@echo 'BENCH="--quick --section detection" runs a part of the bench; BENCH=--help lists them'
	@echo 'WITH_PAGE=0 leaves the page out, and with it the need for npm'
	@echo 'V=1 shows commands, SAN=1 builds with ASan and UBSan, FUZZ_SECONDS=600 fuzzes longer,'
	@echo 'WITH_DPDK=0 leaves the DPDK data path out (default: built in where libdpdk is found)'

deps:
	$(Q)tools/deps.sh

all: $(LEVEE) $(TOOLS) $(MAN) $(UNITS)

tests: $(TESTS) $(KTESTS)

clean:
	$(Q)rm -rf .build

install: all
	$(Q)install -D -m 0755 $(LEVEE) $(DESTDIR)$(PREFIX)/sbin/levee
	$(Q)install -D -m 0755 $(B)/tools/pktgen/pktgen $(DESTDIR)$(PREFIX)/sbin/levee-pktgen
	$(Q)for page in $(MAN); do \
		install -D -m 0644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; done
	$(Q)install -d -m 0755 $(UNITDIR)
	$(Q)for unit in $(UNITS) $(PLAIN_UNITS); do sed 's:@SBIN@:$(PREFIX)/sbin:' $$unit > $(UNITDIR)/$${unit##*/} && \
		chmod 0644 $(UNITDIR)/$${unit##*/} || exit 1; done
	$(Q)install -D -m 0644 tools/deploy/systemd/sysusers.conf \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/levee.conf
	$(Q)install -d -m 0755 $(addprefix $(DATADIR)/,$(dir $(COMPLETIONS)))
	$(Q)$(foreach f,$(COMPLETIONS),$(LEVEE) completion $(call shell_of,$f) > $(DATADIR)/$f && \
		chmod 0644 $(DATADIR)/$f &&) true
	$(Q)install -d -m 0755 $(DESTDIR)/etc/levee
	$(Q)test -e $(DESTDIR)/etc/levee/levee.conf || { \
		$(LEVEE) config dump --defaults > $(DESTDIR)/etc/levee/levee.conf && \
		chmod 0644 $(DESTDIR)/etc/levee/levee.conf; }
	@echo 'levee is in $(DESTDIR)$(PREFIX)/sbin, its configuration in $(DESTDIR)/etc/levee/levee.conf'

uninstall:
	$(Q)rm -f $(DESTDIR)$(PREFIX)/sbin/levee $(DESTDIR)$(PREFIX)/sbin/levee-pktgen
	$(Q)for page in $(MAN); do rm -f $(MANDIR)/man$${page##*.}/$${page##*/}; done
	$(Q)rm -f $(addprefix $(DATADIR)/,$(COMPLETIONS))
	$(Q)rm -f $(UNITDIR)/levee.service $(UNITDIR)/levee@.service $(UNITDIR)/levee-pins@.service
	$(Q)rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/levee.conf
	@echo 'kept: /etc/levee, /var/lib/levee; `levee detach` before this takes the program off the NIC'

deb: all
	$(Q)tools/deploy/deb.sh

rpm:
	$(Q)tools/deploy/rpm.sh

deb-test: deb
	$(Q)tools/deploy/deb_test.sh

demo: deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/demo/demo.sh $(B)

bench:
	$(Q)tools/deps.sh --bench
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tools/bench/bench.sh $(B) $(BENCH)

# The long forms of what `make check` does in short.
fleet-proof: all tests
	$(Q)LEVEE_FLEET_NODES=8 LEVEE_FLEET_RUNS=20 tests/system/test_fleet_acl.sh
	$(Q)LEVEE_FLEET_NODES=8 LEVEE_FLEET_RUNS=5 LEVEE_FLEET_BIN=60 tests/system/test_fleet_acl.sh
	$(Q)LEVEE_CHAOS_ROUNDS=100 $(B)/tests/control/fleet/test_chaos
	$(Q)LEVEE_CHAOS_ROUNDS=100 tests/system/test_fleet_chaos.sh

# On another kernel than this machine's; OLD_KERNEL is a package of Debian's or a directory.
old-kernel: all tests
	$(Q)tests/qemu/old_kernel.sh $(B)

check: deps
	$(Q)tests/check.sh

# ---- the parts of check -----------------------------------------------------------------------

unit: $(TESTS)
	$(Q)tests/run.sh -j $(UNIT_JOBS) $(B) $(TESTS)

kernel: $(KTESTS) $(LEVEE) $(TOOLS)
	$(Q)tests/run.sh $(B) $(KTESTS)

system: $(LEVEE) $(TOOLS)
	$(Q)tests/run.sh $(B) $(STESTS)

# In the order of their names; the seconds are of CPU time.
fuzz: $(FUZZERS)
	$(Q)tests/fuzz/run.sh $(FUZZ_SECONDS) $(FUZZERS)

FORMATTED = $(shell git ls-files -co --exclude-standard '*.c' '*.h' 2>/dev/null)

format:
	$(Q)clang-format -i $(FORMATTED)

lint:
	$(Q)tests/run.sh $(B) tests/lint.sh

# ---- how things are built ---------------------------------------------------------------------

$(B)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(say) BPF $<
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -MMD -MP -MF $(@:.o=.d) \
		-Iinclude -I. -I/usr/include/$(ARCH)-linux-gnu -c $< -o $@

$(B)/%.skel.h: $(B)/%.bpf.o
	$(say) SKEL $@
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@

$(EMBEDDED_H): $(B)/%.h: %
	@mkdir -p $(@D)
	$(say) EMBED $<
	$(Q)od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' > $@

$(PAGE_H): $(wildcard tools/page/*.json tools/page/src/*) tools/page/build.sh $(B)/page/with-$(WITH_PAGE)
	$(say) PAGE $@
	$(Q)tools/page/build.sh $(B)/page $(WITH_PAGE)

$(B)/page/with-$(WITH_PAGE):
	$(Q)mkdir -p $(@D) && rm -f $(@D)/with-* && touch $@

# Skeletons must be there before the first compilation; after that the .d files know who needs them:
# they are of -MD, for what -isystem finds is a system header and -MMD would leave it out.
$(LIB_OBJ): | $(BPF_SKEL) $(EMBEDDED_H) $(PAGE_H)
$(TESTS:%=%.o) $(KTESTS:%=%.o) $(TOOL_SRC:%.c=$(B)/%.o) $(TOOL_LIB_OBJ) $(TEST_LIB_OBJ): | $(BPF_SKEL) $(TBPF_SKEL)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

$(LIB): $(LIB_OBJ)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(LEVEE): $(B)/control/main.o $(LIB)
	$(say) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(B)/libtools.a: $(TOOL_LIB_OBJ)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(TOOLS): %: %.o $(TOOL_LIB) $(LIB)
	$(say) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(B)/man/%: tools/man/%.in $(B)/tools/man/man
	@mkdir -p $(@D)
	$(say) MAN $@
	$(Q)$(B)/tools/man/man $< '$(VERSION)' '$(DATE)' > $@

# Of the template, the lines of the one unit without their mark, and none of the other's; the
# comments at its head are about the template.
unit_of = sed -e '/^\#$(2) /d' -e 's/^\#$(1) //' -e '2,/^$$/d'

$(B)/systemd/levee.service: tools/deploy/systemd/levee.service.in Makefile
	@mkdir -p $(@D)
	$(say) UNIT $@
	$(Q)$(call unit_of,one,each) $< > $@

$(B)/systemd/levee@.service: tools/deploy/systemd/levee.service.in Makefile
	@mkdir -p $(@D)
	$(say) UNIT $@
	$(Q)$(call unit_of,each,one) $< > $@

$(TESTS) $(KTESTS): %: %.o $(TEST_LIB_OBJ) $(TOOL_LIB) $(LIB)
	$(say) LD $@
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -lcmocka -o $@

# What depends on whether DPDK is built in, or on which, is built again when that changes.
USES_DPDK := dataplane/dpdk/%.o tests/dataplane/dpdk/%.o tools/bench/dpdk%.o tools/pktgen/%_dpdk.o
DPDK_OBJ  := $(filter $(USES_DPDK:%=$(B)/%),$(LIB_OBJ) $(TOOL_LIB_OBJ) $(TESTS:%=%.o))

$(USES_DPDK:%=$(B)/%) $(USES_DPDK:%=.build/fuzz/obj/%): CPPFLAGS += $(DPDK_CPPFLAGS)
$(DPDK_OBJ): $(B)/with-dpdk

.PHONY: FORCE
%/with-dpdk: FORCE
	@mkdir -p $(@D)
	@case '$(WITH_DPDK)' in 0) ;; 1) $(PKG_CONFIG) --exists libdpdk || { \
		echo 'WITH_DPDK=1: $(PKG_CONFIG) finds no libdpdk; `make deps` installs it' >&2; exit 1; } ;; \
	*) echo 'WITH_DPDK=$(WITH_DPDK): neither 0 nor 1' >&2; exit 1 ;; esac
	@echo '$(DPDK_CPPFLAGS) $(DPDK_LIBS)' | cmp -s - $@ || echo '$(DPDK_CPPFLAGS) $(DPDK_LIBS)' > $@

# Fuzz targets are built by clang with the library, so that coverage reaches into it.
FUZZ_CFLAGS := -std=c17 -O1 -g -Wall -Wextra -Werror -fsanitize=fuzzer-no-link,address,undefined \
               -fno-sanitize-recover=all -Wno-gnu-variable-sized-type-not-at-end
FUZZ_OBJ := $(LIB_SRC:%.c=.build/fuzz/obj/%.o)

$(FUZZ_OBJ): | $(BPF_SKEL) $(EMBEDDED_H) $(PAGE_H)
$(filter .build/fuzz/obj/dataplane/dpdk/%,$(FUZZ_OBJ)): .build/fuzz/with-dpdk

.build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(say) FUZZ $<
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MD -MP -MF $(@:.o=.d) -c $< -o $@

# Its board and its controller in memory are those of the unit tests.
.build/fuzz/fuzz_api: .build/fuzz/obj/tests/support/board.o

.build/fuzz/fuzz_%: .build/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_OBJ)
	$(say) LD $@
	$(Q)$(CLANG) -fsanitize=fuzzer,address,undefined $^ $(LIBS) -o $@

$(B) .build/fuzz:
	@mkdir -p $@

-include $(DEPS)
