# SPDX-License-Identifier: BSD-2-Clause
"""The CloudFormation template beside the program: TAP on stdout.

    python deploy.py TEMPLATE SOURCES... <the dashboard's body, as `levee aws dashboard` prints it
"""

import json
import re
import sys

import yaml

# Operations that need no permission, or are those of other roles' sessions.
FREE = {"GetCallerIdentity", "AssumeRole", "AssumeRoleWithWebIdentity"}
WRITES = ("Create", "Replace", "Delete", "Put", "Publish")
# What neither resources nor conditions can limit to more than a region.
ANYWHERE = {
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetGroupAttributes",
    "cloudwatch:PutMetricData",
}
count = 0


def check(name, wrong):
    """One line of TAP; `wrong` is a list of what is."""
    global count
    count += 1
    print(f"{'not ok' if wrong else 'ok'} {count} - {name}")
    for line in wrong:
        print(f"#   {line}")


def any_tag(loader, suffix, node):
    """!Sub, !Ref and the like, as {tag: value}."""
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


class Loader(yaml.SafeLoader):
    """Of templates."""


Loader.add_multi_constructor("!", any_tag)


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(template):
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::IAM::Policy":
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                yield name, statement


def operations(paths):
    """Names of AWS operations in the sources."""
    found = set()
    for path in paths:
        with open(path, encoding="utf-8") as f:
            found |= set(
                re.findall(r'"((?:Describe|Create|Replace|Delete|Put|Get|Publish|Assume)[A-Za-z]*)"', f.read())
            )
    return {o for o in found - FREE if not o.endswith("Result")}


def uncommented(text):
    """Statements without a comment right above them."""
    lines = text.splitlines()
    wrong, explained = [], False
    for line in lines:
        if "- Sid:" in line:
            # one comment may stand above several statements of one purpose
            if not explained and "MakeWithItsTag" not in line and "TagWhatIsMade" not in line \
                    and "MarkWhatIsTagged" not in line:
                wrong.append(line.strip())
            explained = False
        elif line.strip().startswith("#"):
            explained = True
    return wrong


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        text = f.read()
    template = yaml.load(text, Loader)
    granted = set()
    broad, star = [], []
    for name, s in statements(template):
        actions = set(listed(s["Action"]))
        granted |= actions
        if s["Effect"] != "Allow" or any("*" in a for a in actions):
            star.append(f"{name} {s['Sid']}: {sorted(actions)}")
        if "*" in listed(s["Resource"]) and (not actions <= ANYWHERE or "Condition" not in s):
            broad.append(f"{name} {s['Sid']}: {sorted(actions - ANYWHERE)}")
    check("no action is a wildcard", star)
    check("every resource is named, but of calls that have none, and these have a condition", broad)
    check("each statement is explained", uncommented(text))
    used = operations(sys.argv[2:])
    names = {a.partition(":")[2] for a in granted}
    check("every call of the program is permitted", sorted(used - names))
    check("nothing else is", sorted(names - used))
    check("there are calls to compare", [] if len(used) > 10 else [f"only {len(used)}"])
    # The dashboard, with the placeholders that the test put into the program's.
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Sub"]
    for name, value in {
        "AWS::Region": "xx-region-9",
        "AWS::StackName": "stack",
        "VpcId": "vpc-01234567",
        "MetricsNamespace": "NAMESPACE",
        "MinZScore": "3",
    }.items():
        body = body.replace("${" + name + "}", value)
    check(
        "the dashboard is the one that `levee aws dashboard` puts",
        [] if json.loads(body) == json.load(sys.stdin) else ["they differ"],
    )
    print(f"1..{count}")


main()
