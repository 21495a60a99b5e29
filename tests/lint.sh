#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lint.sh: what tools and a look at the tree can say about the sources, in TAP. Run from the top.
set -u
export LC_ALL=C

n=0
failed=0

# report NAME OUTPUT: no output is good
report() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | head -n 50 | sed 's/^/# /'
		failed=$((failed + 1))
	fi
}

# skip NAME REASON
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# Every file of the tree, tracked or not, but for what .gitignore names. Without git, or in a
# checkout that is another user's and which git therefore leaves alone, every file there is.
all_files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard
	else
		find . -path ./.git -prune -o -path ./.build -prune -o -type f -printf '%P\n'
	fi
}

mapfile -t tree < <(all_files | sort -u)

# files [PATTERN...]: files whose path matches one of the patterns, or all. One a line.
files() {
	local file pattern
	for file in "${tree[@]}"; do
		[ -f "$file" ] || continue
		for pattern in "${@:-*}"; do
			# shellcheck disable=SC2053 # a pattern is what it is
			if [[ $file == $pattern ]]; then
				echo "$file"
				break
			fi
		done
	done
}

# Those that a comment could stand in.
files_with_comments() {
	files | grep -Ev '^LICENSE$|\.json$|\.pcap(ng)?$|^tests/fuzz/corpus/|/corpus/' |
		while read -r file; do
			# grep -I takes binary files for empty ones
			[ ! -s "$file" ] || ! grep -qI . "$file" || echo "$file"
		done
}

check_spdx() {
	files_with_comments | while read -r file; do
		head -n 5 "$file" | grep -q 'SPDX-License-Identifier: ' ||
			echo "$file: no SPDX-License-Identifier in the first 5 lines"
	done
}

# What BPF compiles must carry both licences, or the kernel lends it no GPL-only helper.
check_dual_licence() {
	files 'ebpf/*' 'include/*' '*.bpf.c' '*.bpf.h' | grep -E '\.[ch]$' | while read -r file; do
		head -n 1 "$file" | grep -q 'BSD-2-Clause OR GPL-2.0-only' ||
			echo "$file: not BSD-2-Clause OR GPL-2.0-only"
	done
}

# Releases of clang-format disagree about the same configuration: the tree is written with this one.
format_release=14

find_clang_format() {
	local tool
	for tool in clang-format-$format_release clang-format; do
		if "$tool" --version 2>/dev/null | grep -q "version $format_release\."; then
			echo "$tool"
			return
		fi
	done
	echo "clang-format-$format_release"
}

check_format() {
	files '*.c' '*.h' | xargs -r "$clang_format" --dry-run -Werror 2>&1 |
		sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error:.*/\1: not formatted; make format/p' | sort | uniq -c
}

# missingInclude and the like are about what cppcheck was given, not about the code;
# invalidFunctionArg is what it says of the -1 that mmap() takes for anonymous memory.
check_cppcheck() {
	cppcheck --quiet --std=c11 --language=c --enable=warning,portability --inline-suppr \
		--library=posix --error-exitcode=0 \
		--suppress=missingIncludeSystem --suppress=missingInclude \
		--suppress=unmatchedSuppression --suppress=checkersReport \
		--suppress=invalidFunctionArg --suppress=internalAstError --suppress=unknownMacro \
		--template='{file}:{line}: {severity}: {message} [{id}]' \
		-j 2 -D__x86_64__ -D__linux__ -D__BYTE_ORDER__=1234 -D__ORDER_LITTLE_ENDIAN__=1234 \
		-Iinclude -I. dataplane control 2>&1
}

check_shellcheck() {
	files '*.sh' .ci/run | xargs -r shellcheck -x -P SCRIPTDIR --severity=warning --format=gcc 2>&1
}

check_top() {
	files | sed 's|/.*||' | sort -u | while read -r name; do
		case $name in
		.* | LICENSE | Makefile | README.md | dataplane | ebpf | control | include | tests | tools) ;;
		*) echo "$name: does not belong at the top level" ;;
		esac
	done
}

# Includes as FILE:LINE:NAME, for the files given.
includes() {
	files "$@" | grep -E '\.[ch]$' | xargs -r grep -HnE '^[[:space:]]*#[[:space:]]*include' |
		sed -E 's/^([^:]*:[0-9]+):[^"<]*["<]([^">]*)[">].*/\1:\2/'
}

check_dataplane_arrow() {
	includes 'dataplane/*' | grep -E ':(control|tests|tools)/'
}

check_control_arrow() {
	includes 'control/*' | grep -E ':(tests|tools|ebpf)/'
}

# What programs see of headers that the compiler and the kernel give, and each other.
check_include_arrow() {
	includes 'include/*' | grep -vE ':(linux/types\.h|levee/[a-z0-9_]+\.h)$'
}

check_ebpf_arrow() {
	includes 'ebpf/*' | grep -E ':(control|dataplane|tests|tools)/'
}

# Pure code has nothing to do with files, clocks, threads or the network. Types only from outside.
check_purity() {
	local pure='assert|errno|inttypes|limits|math|stdarg|stdbool|stddef|stdint|stdlib|string'
	pure="$pure|sys/mman|sys/random" # for large tables, and for the key of their hash
	includes 'control/detect/*' 'control/policy/*' |
		grep -vE ":($pure)\.h\$|:control/(detect|policy)/|:levee/" |
		grep -vE ':dataplane/(prefix|prefixmap|policy|dataplane)\.h$'
	files 'control/detect/*.[ch]' 'control/policy/*.[ch]' |
		xargs -r grep -nE '\b(f?printf|fopen|getenv|time|clock_gettime|gettimeofday|s?rand(om)?) *\(' |
		grep -vE ':[[:space:]]*(/?\*|//)'
}

# Library code talks through a report function or levee_log(); stdout is the commands'.
check_output() {
	files 'dataplane/*.c' 'control/*.c' | grep -vE '^control/(cli/|main\.c|log\.c)' |
		xargs -r grep -nE '\bprintf *\(|\bputs *\(|\bperror *\(' |
		grep -vE ':[[:space:]]*(/?\*|//)'
}

check_text() {
	files '*.c' '*.h' '*.sh' '*.py' '*.md' Makefile | while read -r file; do
		grep -HnE '[[:blank:]]+$' "$file" | sed 's/$/: blanks at the end of the line/'
		[ -z "$(tail -c 1 "$file")" ] || echo "$file: no newline at the end"
	done
}

# with TOOL NAME FUNCTION: run a check that needs a tool
with() {
	if command -v "$1" >/dev/null; then
		report "$2" "$($3)"
	else
		skip "$2" "$1 is not installed; make deps"
	fi
}

report 'every text file names its licence' "$(check_spdx)"
report 'what BPF compiles is under both licences' "$(check_dual_licence)"
clang_format=$(find_clang_format)
with "$clang_format" 'sources are formatted' check_format
with cppcheck 'cppcheck finds nothing in dataplane and control' check_cppcheck
with shellcheck 'shellcheck finds nothing in the scripts' check_shellcheck
report 'the top level holds what belongs there' "$(check_top)"
report 'dataplane/ includes nothing of control/' "$(check_dataplane_arrow)"
report 'control/ includes nothing of tests/, tools/ and ebpf/' "$(check_control_arrow)"
report 'include/ includes linux/types.h and itself alone' "$(check_include_arrow)"
report 'ebpf/ includes nothing of user space' "$(check_ebpf_arrow)"
report 'control/detect and control/policy are pure' "$(check_purity)"
report 'library code does not print to stdout' "$(check_output)"
report 'lines end without blanks, files with a newline' "$(check_text)"
[ ${#tree[@]} -gt 50 ] || report 'there is a tree to look at' "only ${#tree[@]} files found"
echo "1..$n"
[ "$failed" -eq 0 ]
