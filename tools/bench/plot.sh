#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# plot.sh BENCH_JSON DIRECTORY: draw the figures of a bench as SVG, by matplotlib. Without it that
# is said, and nothing drawn. `plot.sh --python` prints the interpreter that has it, if any does.
set -u

# The distribution's module belongs to the distribution's interpreter, which need not come first.
find_python() {
	local python
	for python in "$(command -v python3)" /usr/bin/python3; do
		if [ -x "$python" ] && "$python" -c 'import matplotlib' 2>/dev/null; then
			echo "$python"
			return
		fi
	done
}

python=$(find_python)
if [ "${1:-}" = --python ]; then
	echo "$python"
	exit
fi
if [ $# -ne 2 ]; then
	echo 'usage: plot.sh BENCH_JSON DIRECTORY' >&2
	exit 2
fi
if [ -z "$python" ]; then
	echo 'bench: nothing is drawn: python3-matplotlib is not installed (make deps)' >&2
	exit
fi
cache=$(mktemp -d) || exit 1
trap 'rm -rf "$cache"' EXIT
MPLCONFIGDIR=$cache PYTHONDONTWRITEBYTECODE=1 "$python" "$(dirname "$0")/plot.py" "$1" "$2"
