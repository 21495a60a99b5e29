#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# tools/deploy/aws: cfn-lint finds nothing, and the template permits what the program calls and
# nothing else.
# shellcheck source=../system/lib.sh
. "$(dirname "$0")/../system/lib.sh"
# shellcheck source=standin.sh
. tests/aws/standin.sh
standin_need
lint() { "${standin_python%/*}/cfn-lint" "$@"; }
broken() { # a template that is wrong is seen as one
	sed 's/Type: AWS::SNS::Topic$/Type: AWS::SNS::Topics/' tools/deploy/aws/levee.yaml >"$dir/broken.yaml"
	lint "$dir/broken.yaml" >"$dir/broken.out"
	grep -q 'AWS::SNS::Topics' "$dir/broken.out"
}
check 'cfn-lint finds nothing in the templates' lint tools/deploy/aws/{levee,example-asg-nlb,fleet}.yaml
check 'cfn-lint finds what is wrong' broken
print_dashboard() {
	env AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y "$levee" aws dashboard --print \
		--set aws.region=xx-region-9 --set aws.vpc=vpc-01234567 --set aws.vpc_cidrs=10.0.0.0/8 \
		--set aws.instance_id=i-01234567 --set aws.metrics=NAMESPACE --set aws.log_group=/levee/stack/blocked
}
print_dashboard >"$dir/dashboard.json" || echo "# levee aws dashboard --print failed"
"$standin_python" tests/aws/deploy.py tools/deploy/aws/levee.yaml control/aws/*.c control/doctor/*.c control/cli/cmd_*.c \
	<"$dir/dashboard.json" >"$dir/deploy.tap" 2>&1
while read -r line; do
	case $line in
	ok*) check "${line#* - }" true ;;
	not*)
		check "${line#* - }" false
		grep -A10 -F -- "$line" "$dir/deploy.tap" | grep '^#'
		;;
	esac
done <"$dir/deploy.tap"
check 'the comparison ran to its end' grep -q '^1\.\.' "$dir/deploy.tap"
finish
