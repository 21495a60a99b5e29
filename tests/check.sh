#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check.sh: everything that `make check` runs, and one count at the end. Each part prints its own
# lines and closes with "N passed, N failed, N skipped"; a part that fails does not stop the others.
#
# Beside them, with the CPU time that nobody else wants: packages that tests need are fetched while the
# program is built, and the fuzz targets are built and have their minutes during the other tests, most
# of which wait. Their result is the last part.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
log=.build/check.log fuzz_log=.build/check.fuzz.log
mkdir -p .build
export LEVEE_TIMES=$PWD/.build/check.times
: >"$LEVEE_TIMES"
beside=()
trap 'trap - INT TERM; [ ${#beside[@]} -eq 0 ] || kill -- "${beside[@]/#/-}" 2>/dev/null; exit 130' INT TERM

# part TITLE COMMAND...: run it, and add up its closing line. One that has none has failed.
part() {
	local title=$1 line start=$SECONDS
	shift
	echo "== $title"
	"$@" 2>&1 | tee "$log"
	local code=${PIPESTATUS[0]}
	line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	if [ -n "$line" ]; then
		read -r p _ f _ s _ <<<"$line"
		passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
		[ "$code" -eq 0 ] || [ "$f" -gt 0 ] || failed=$((failed + 1))
	elif [ "$code" -ne 0 ]; then
		echo "$title: exit code $code"
		failed=$((failed + 1))
	fi
	echo "== $title: $((SECONDS - start)) s"
}

run_make() {
	${MAKE:-make} --no-print-directory "$@"
}

# A process group of its own, so that all of it ends with us, and last in line for a CPU.
start_beside() { # LOG COMMAND...
	local out=$1
	shift
	set -m
	nice -n 19 "$@" >"$out" 2>&1 </dev/null &
	beside+=($!)
	set +m
}

# What fails here is tried again, and said, by the tests that need it.
start_beside .build/check.fetch.log bash -c \
	'tests/aws/venv.sh; LEVEE_VENV=api tests/aws/venv.sh; tests/page/npm.sh .build/npm/page-test'

part 'build' run_make -j2 all tests
part 'build with ASan and UBSan' run_make -j2 SAN=1 all tests
# One input that is waited for by the clock waits for a CPU as well.
FUZZ_TIMEOUT=60 start_beside "$fuzz_log" "${MAKE:-make}" --no-print-directory -j2 fuzz FUZZ_SECONDS="${FUZZ_SECONDS:-60}"
fuzz=${beside[-1]}
part 'lint' run_make lint
part 'unit tests' run_make unit
part 'unit tests under ASan and UBSan' run_make SAN=1 unit
if [ "$(id -u)" -eq 0 ]; then
	part 'kernel tests' run_make kernel
	part 'kernel tests under ASan and UBSan' run_make SAN=1 kernel
	part 'system tests' run_make system
else
	echo 'kernel and system tests need root: left out, 2 skipped'
	skipped=$((skipped + 2))
fi
waited=$SECONDS
renice -n 0 -g "$fuzz" >/dev/null 2>&1
wait "$fuzz"
fuzz_code=$?
show_fuzz() {
	cat "$fuzz_log"
	return "$fuzz_code"
}
part "fuzz (beside the tests, and $((SECONDS - waited)) s after them)" show_fuzz

echo
echo 'the ten that took longest [s]:'
sort -rn "$LEVEE_TIMES" | head -n 10 | while read -r seconds build name; do
	printf '  %6s  %s%s\n' "$seconds" "$name" "$([ "${build##*/}" != san ] || echo ' (ASan, UBSan)')"
done
echo
echo "$passed passed, $failed failed, $skipped skipped; $SECONDS s"
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then
	echo 'CI=true: a skipped test is a failed one'
	exit 1
fi
[ "$failed" -eq 0 ]
