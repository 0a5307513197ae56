"""What schemathesis cannot know of this API."""

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
    """Leaves out tags without quotes.

    crossbar's web server refuses them before crossbar sees them, with a 400 that has neither headers nor
    body, and clients get the same here. OpenAPI cannot say of one status that its body may be missing, so
    such an answer would be taken for a fault; the tests of preconditions check it.
    """
    headers = case.headers or {}
    tags = [value for name, value in headers.items() if name.lower() in ("if-match", "if-none-match")]
    return all(QUOTED_TAGS.fullmatch(str(tag)) for tag in tags)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes most of the groups that requests are about, which would all be missing otherwise."""
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
        # It was there before, if only to be deleted.
        if refused.code != 409:
            raise
