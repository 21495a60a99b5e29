#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# levee aws whoami, levee aws dashboard and levee doctor against the stand-in, and without AWS.
# shellcheck source=../system/lib.sh
. "$(dirname "$0")/../system/lib.sh"
# shellcheck source=standin.sh
. tests/aws/standin.sh
need_root
standin_need
trap 'standin_stop; cleanup' EXIT
out=$dir/out
not() { ! "$@"; }
# run CODE COMMAND...: its output goes to $out, and to $dir/all, which is searched for secrets
run() {
	local want=$1 code=0
	shift
	"$@" >"$out" 2>&1 || code=$?
	cat "$out" >>"$dir/all"
	cat "$out"
	[ "$code" -eq "$want" ]
}
says() { grep -qE -- "$1" "$out"; }
# said CODE PATTERN COMMAND...
said() {
	local want=$1 pattern=$2
	shift 2
	run "$want" "$@" && says "$pattern"
}

make_pair
ip -n "$server" link set lo up
standin_netns=$server
standin_start || exit 1
standin_env
standin POST world '{}' >/dev/null
blue=$(standin GET world | jq -r .blue) green=$(standin GET world | jq -r .green)
vpc=$(standin GET world | jq -r .vpc) topic=$(standin GET world | jq -r .topic_arn)
debug=(--set log.level=debug)

# ---- whoami ----
whoami() { in_server "$levee" aws whoami "${debug[@]}" "$@"; }
check 'keys of the environment: account and ARN' said 0 '^arn +arn:aws:iam::123456789012:user/levee-test' whoami
check 'and which provider it was' says '^provider +environment'
check 'as JSON' eval 'run 0 whoami --format json && tail -n 1 "$out" | jq -e ".account == \"123456789012\""'
as_role() {
	(
		unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
		said 0 '^role +levee-instance, session i-' whoami && says '^provider +instance metadata' &&
			says '^region +eu-west-1'
	)
}
check 'an instance with a role, and its region, without any configuration' as_role
by_process() {
	# What IAM Roles Anywhere's helper does: it prints credentials.
	printf '#!/bin/sh\ncat %s\n' "$dir/keys.json" >"$dir/helper"
	chmod +x "$dir/helper"
	standin POST keys '{"lifetime": 900}' | jq '{Version: 1, AccessKeyId: .AWS_ACCESS_KEY_ID,
		SecretAccessKey: .AWS_SECRET_ACCESS_KEY, SessionToken: .AWS_SESSION_TOKEN}' >"$dir/keys.json"
	printf '[profile anywhere]\ncredential_process = %s\n' "$dir/helper" >"$AWS_CONFIG_FILE"
	said 0 '^provider +profile "anywhere": credential_process' whoami --set aws.profile=anywhere
}
check 'credential_process, as IAM Roles Anywhere has it' by_process
by_role() {
	(
		printf '[base]\naws_access_key_id = %s\naws_secret_access_key = %s\n' \
			"$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >"$AWS_SHARED_CREDENTIALS_FILE"
		printf '[profile duty]\nrole_arn = arn:aws:iam::123456789012:role/duty\nsource_profile = base\n' \
			>"$AWS_CONFIG_FILE"
		unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
		AWS_PROFILE=duty said 0 '^role +duty, session ' whoami &&
			says '^provider +profile "duty": role arn:.*from profile "base"'
	)
}
check 'a role with source_profile' by_role
by_web_identity() {
	(
		unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
		standin_ready .web_identity_token >"$dir/token"
		export AWS_WEB_IDENTITY_TOKEN_FILE=$dir/token AWS_ROLE_ARN=arn:aws:iam::123456789012:role/pod
		said 0 '^role +pod, session ' whoami && says '^provider +web identity'
	)
}
check 'web identity' by_web_identity
by_container() {
	(
		unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
		AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:$(standin_ready .container)/task
		AWS_CONTAINER_AUTHORIZATION_TOKEN=$(standin_ready .container_token)
		export AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN
		said 0 '^role +levee-task' whoami && says '^provider +container'
	)
}
check 'a container' by_container
no_credentials() {
	(
		unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
		export AWS_EC2_METADATA_DISABLED=true
		said 1 'NoCredentials: no credentials in the environment' whoami
	)
}
check 'nobody has credentials: what was looked at' no_credentials
check 'a wrong secret: what AWS says, in one line, and what to do' \
	env AWS_SECRET_ACCESS_KEY=wrongwrongwrong bash -c "$(declare -f run says said whoami in_server)
		debug=(${debug[*]}) levee=$levee dir=$dir out=$out server=$server
		said 1 'SignatureDoesNotMatch: .*; the secret key does not belong' whoami"
check 'a profile that is not there is named' said 1 'ProfileNotFound: profile "night"' whoami --set aws.profile=night

# ---- dashboard ----
dashboard() { in_server "$levee" aws dashboard "${debug[@]}" --set aws.metrics=AutoNACL "$@"; }
check 'the dashboard is put' said 0 'six graphs and the grid' dashboard --set aws.log_group=/levee/blocked
check 'and AWS has it' eval "standin GET dashboards | jq -e '.Levee.widgets | length == 7'"
check 'without permission nothing is put, and the permission is named' eval \
	'standin POST script "{\"deny\": [\"monitoring:*\"]}" && said 1 "AccessDenied: .*PutDashboard.*give the role" dashboard'
standin POST script '{}' >/dev/null

# ---- doctor ----
doctor() { in_server "$levee" doctor "$@"; }
check 'without AWS and without a daemon: nothing fails' said 0 '^skip  AWS: ' doctor --interface eth0 --set state.file=
check 'the interface is looked at' says '^ok    eth0 driver: veth'
check 'no interface configured is a failure with what to set' said 1 '^fail  interfaces: none' doctor
check 'one that does not exist, too' said 1 '^fail  nic9 interface: ' doctor --interface nic9
check 'as JSON: the same, with a schema' eval 'run 1 doctor --json --interface nic9 &&
	jq -e ".schema == 1 and .fail == 1 and any(.checks[]; .verdict == \"fail\" and .remedy != \"\")" "$out"'
check 'no BPF file system under the pin' said 1 '^fail  BPF file system: ' \
	doctor --interface eth0 --set "data_path.pin=$dir/pin"

in_aws() {
	doctor --interface eth0 --set aws.enabled=yes --set nacl.enabled=yes --set "nacl.blue=$blue" \
		--set "nacl.green=$green" --set "aws.sns_topic=$topic" --set aws.log_group=/levee/blocked \
		--set allow.s3=s3://levee-allow-list/allow.txt "$@"
}
standin DELETE log >/dev/null
check 'with AWS: everything that Levee needs is there' said 0 '^ok    permission ec2:ReplaceNetworkAclAssociation: granted' in_aws
check 'VPC, subnet, pair, log group and list are named' eval "says '^ok    VPC: $vpc in eu-west-1' &&
	says '^ok    subnet subnet-' && says '^ok    network ACL blue: $blue' && says '^ok    log group: ' && says '^ok    allow list: '"
check 'and nothing was changed by looking' eval "[ \"\$(standin GET 'count?writes=1')\" -eq 0 ]"
standin POST script '{"deny": ["CreateNetworkAclEntry", "s3:*", "sns:*"]}' >/dev/null
check 'a permission that lacks is found by DryRun' said 1 '^fail  permission ec2:CreateNetworkAclEntry: Unauthorized' in_aws
check 'a list that cannot be read, too' says '^fail  allow list: AccessDenied'
check 'what only the doctor would need is no failure' says '^skip  SNS topic: '
standin POST script '{}' >/dev/null
check 'wrong ids are named' eval 'said 1 "^fail  network ACL green: there is no acl-01234567 in VPC" in_aws --set nacl.green=acl-01234567 &&
	said 1 "^fail  subnet subnet-01234567: " in_aws --set nacl.subnets=subnet-01234567'
targets() {
	"$standin_python" - "$(standin_ready .moto)" "$vpc" <<'PY'
import sys
import boto3

elb = boto3.client("elbv2", region_name="eu-west-1", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}",
                   aws_access_key_id="set-up", aws_secret_access_key="set-up")
for name, preserved in (("web", "true"), ("behind", "false")):
    group = elb.create_target_group(Name=name, Protocol="TCP", Port=443, VpcId=sys.argv[2], TargetType="ip")
    elb.modify_target_group_attributes(
        TargetGroupArn=group["TargetGroups"][0]["TargetGroupArn"],
        Attributes=[{"Key": "preserve_client_ip.enabled", "Value": preserved}])
PY
}
check 'a target group without client addresses is found' eval \
	"in_server bash -c '$(declare -f targets standin_ready); standin_python=$standin_python standin_dir=$standin_dir vpc=$vpc targets' &&
	said 0 '^warn  target group behind: client addresses are not preserved' in_aws && says '^ok    target group web: '"
silent() { AWS_ENDPOINT_URL=http://127.0.0.1:$(standin_ready .silent) in_aws --set nacl.enabled=no; }
check 'an AWS that never answers: the doctor still ends, and says so' said 1 '^fail  SNS topic: Timeout: ' silent
check 'and asks no further' says '^skip  allow list: not asked'

leaks() { [ -z "$(standin_leaks "$dir/all")" ]; }
check 'no secret in any output, at the level debug' leaks
finish
