"""Hooks that tell schemathesis what the OpenAPI document cannot say."""

import json
import os
import re
import urllib.error
import urllib.request

import schemathesis

QUOTED_TAGS = re.compile(r'\s*(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)\s*')
POSSIBLE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")


@schemathesis.hook
def filter_case(context, case):
    """Skips requests with tags that have no quotes.

    The server refuses them like crossbar's web server, with a 400 that has neither headers nor body.
    OpenAPI cannot say that a status has a body only sometimes, so schemathesis would report a fault.
    The tests of preconditions check these answers.
    """
    headers = case.headers or {}
    tags = [value for name, value in headers.items() if name.lower() in ("if-match", "if-none-match")]
    return all(QUOTED_TAGS.fullmatch(str(tag)) for tag in tags)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Creates most of the groups that requests name; otherwise every group would be missing."""
    group_id = str((case.path_parameters or {}).get("GROUP_ID", ""))
    if not POSSIBLE_ID.fullmatch(group_id) or sum(group_id.encode()) % 4 == 0:
        return
    request = urllib.request.Request(
        f"{os.environ['BASE']}/account/groups",
        method="PUT",
        headers={"X-Auth-Token": os.environ["TOKEN"], "Content-Type": "application/json"},
        data=json.dumps({"data": {"name": "Made", "id": group_id}}).encode(),
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as refused:
        # The id is taken, perhaps by a deleted group.
        if refused.code != 409:
            raise
