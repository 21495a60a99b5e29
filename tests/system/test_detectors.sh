#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Precision and recall of each detector on each scenario of tools/scenarios, in one table: who is
# flagged against who flooded. No packet is sent: the generator's truth is replayed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

python3 tests/system/detectors.py "$levee" "$LEVEE_BUILD/tools/pktgen/pktgen" "$dir" \
	tools/scenarios/*.ini >"$dir/table"
check 'every scenario was judged by every detector' [ "$(grep -vc '^#' "$dir/table")" -eq \
	$((4 * $(find tools/scenarios -name '*.ini' | wc -l))) ]
grep '^#' "$dir/table"

# is SCENARIO DETECTOR RIGHT WRONG MISSED
is() { grep -qx "$*" "$dir/table"; }
nobody_wrong() { [ "$(awk -v d="$1" '$0 !~ /^#/ && $2 == d { n += $4 } END { print n + 0 }' "$dir/table")" -eq 0 ]; }
nobody_missed() { [ "$(awk -v d="$1" '$0 !~ /^#/ && $2 == d { n += $5 } END { print n + 0 }' "$dir/table")" -eq 0 ]; }

check 'masking: zscore sees nothing' is masking zscore 0 0 30
for detector in robust both fast; do
	check "masking: $detector flags all 30 attackers and no client" is masking "$detector" 30 0 0
	check "flash crowd: $detector blocks nobody" is flash-crowd "$detector" 0 0 0
done
for detector in zscore robust both fast; do
	check "$detector flags no client in any scenario" nobody_wrong "$detector"
done
for detector in robust both fast; do
	check "$detector misses nobody who passes the minimum" nobody_missed "$detector"
done

# Masking is said to people, with the remedy, and in JSON.
said() { "$levee" replay "$@" "$dir/masking.csv" 2>"$dir/alarm"; }
check 'masking is said once' eval \
	"said --detector robust && grep -c . '$dir/alarm' | grep -qx 1 && grep -q 'masking at [0-9]*: 30 of 190 values are above 12000 packets' '$dir/alarm'"
check 'and in JSON beside the medians' eval \
	"said --format json --detector both | grep -q '\"median\": .*\"mad\": .*\"masked\": true'"
check 'what zscore prints is as it was' eval \
	"! said --format json | grep -q 'median\|masked' && said && [ ! -s '$dir/alarm' ]"
check 'an unknown detector is a usage error that names the known ones' eval \
	"! said --detector median && grep -q 'median: not one of zscore, robust, both' '$dir/alarm'"
finish
