#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What old_kernel.sh is for is really there: the kernel's verifier takes the program with multi-buffer
# support, and the iterators behind `cat`. The other tests go on without, and would show little.
# shellcheck source=../system/lib.sh
. "$(dirname "$0")/../system/lib.sh"
need_root

make_pair
configure 'bin = 3600' 'window = 36000'
warns_of_nothing() { ! grep -E ' (warning|error): ' "$log"; }
check "Linux $(uname -r) takes the program" start_levee
check 'and the daemon warns of nothing' warns_of_nothing
check 'it has frames above one page' eval 'bpftool -j prog show pinned "$pin/program" | jq -e .id'
check 'it has lists to cat' eval '[ -e "$pin/sources4" ] && [ -e "$pin/sources6" ] && [ -e "$pin/rules" ]'
check 'the daemon stops when told to' stop_levee
finish
