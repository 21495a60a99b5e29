#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `levee replay` against a plain reference in exact fractions, and on defective input. No root.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

agrees() { # SEED OPTION...
	local seed=$1 file=$dir/t$1.csv
	shift
	python3 tests/system/reference.py make "$seed" "$file" &&
		"$levee" replay --format json "$@" "$file" >"$dir/out" &&
		python3 tests/system/reference.py check "$file" "$dir/out" "$@"
}
all_agree() { # FIRST LAST OPTION...
	local first=$1 last=$2 seed
	shift 2
	for ((seed = first; seed <= last; seed++)); do
		agrees "$seed" "$@" || {
			echo "seed $seed, options: $*"
			return 1
		}
	done
}
says() { # CODE WORDS COMMAND...
	local wanted=$1 words=$2 code=0
	shift 2
	"$@" >"$dir/said" 2>&1 </dev/null || code=$?
	tail -n 5 "$dir/said"
	echo "exit code $code"
	[ "$code" -eq "$wanted" ] && grep -qE "$words" "$dir/said"
}

check 'random traces: every number, every flagged source, in order' all_agree 1 12
check 'the same in audit mode' all_agree 26 33 --audit
check 'the same, evaluated twice a minute' all_agree 41 47 --evaluate-every 30
check 'the same with other bins and windows' all_agree 53 59 --bin 30 --window 600 --min-packets 250
check 'the same with another threshold and a limit' all_agree 63 68 --min-zscore 1.5 --min-packets 90 --limit 3

printf '60,198.51.100.1,5\n61,198.51.100.2,x\n62,nobody,5\n63,198.51.100.3,7\n' >"$dir/bad.csv"
check 'bad lines are named by file and line, the exit code is 1' \
	says 1 'bad.csv:2: .*x' "$levee" replay --format json "$dir/bad.csv"
good_lines() { "$levee" replay --format json "$dir/bad.csv" 2>/dev/null | grep -q '"n": 2,'; }
check 'and the good lines count' good_lines
check 'a missing file is named' says 1 'none.csv.*No such file' "$levee" replay "$dir/none.csv"
check 'a directory is no file' says 1 "$dir" "$levee" replay "$dir"
: >"$dir/empty"
check 'an empty file is an error' says 1 'empty' "$levee" replay "$dir/empty"
check 'a wrong option is a usage error' says 2 'bin' "$levee" replay --bin 7m "$dir/bad.csv"
check 'a full output is an error' says 1 'cannot write|No space' sh -c "'$levee' replay '$dir/t1.csv' >/dev/full"
from_pipe() { "$levee" replay --format json - <"$dir/t1.csv" | cmp - <("$levee" replay --format json "$dir/t1.csv"); }
check 'standard input is read like a file' from_pipe

"$pktgen" --pcap "$dir/t.pcap" --duration 5 tools/scenarios/demo.ini >/dev/null
pcap_works() { "$levee" replay --bin 1 --window 60 --format json "$dir/t.pcap" >"$dir/out" && [ "$(wc -l <"$dir/out")" -eq 5 ]; }
check 'a pcap is replayed bin by bin' pcap_works
head -c 100000 "$dir/t.pcap" >"$dir/cut.pcap"
check 'one that is cut in the middle says so' says 1 'cut.pcap' "$levee" replay --bin 1 --window 60 "$dir/cut.pcap"
cut_counts() { grep -q 'sources' "$dir/said"; }
check 'and what was before the cut is judged' cut_counts
finish
