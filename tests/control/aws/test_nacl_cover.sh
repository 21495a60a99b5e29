#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Network ACL rules chosen by what they block and cost.
set -u
cd "$(dirname "$0")/../../.." || exit 1
. tests/aws/standin.sh
standin_need
dir=$(mktemp -d) || exit 1
trap 'standin_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
standin_start || exit 1
standin_env
case $LEVEE_BUILD in
/*) export LEVEE=$LEVEE_BUILD/levee ;;
*) export LEVEE=$PWD/$LEVEE_BUILD/levee ;;
esac
STANDIN=$standin_dir/control "$standin_python" tests/control/aws/test_nacl_cover.py "$dir" || exit 1
leaks=$(standin_leaks "$dir/output")
[ -z "$leaks" ] || { echo "not ok 99 - a secret is in the output"; exit 1; }
