"""Tests the groups API with pykazoo, as its documentation shows it. `../run` sets the environment.

pykazoo has no class for groups, so these tests use its `RestRequest`, as its other classes do.
"""

import os
import unittest

from pykazoo.client import PyKazooClient
from pykazoo.restrequest import RestRequest

BASE = os.environ["BASE"]
ACCOUNT_ID = os.environ["ACCOUNT_ID"]
OTHER_ACCOUNT_ID = os.environ["OTHER_ACCOUNT_ID"]
USER_ID = os.environ["USER_ID"]
GROUPS = f"accounts/{ACCOUNT_ID}/groups"


def by_password(rest, password=os.environ["PASSWORD"]):
    client = PyKazooClient(BASE, rest)
    return client.authentication.user_auth(os.environ["USERNAME"], password, os.environ["ACCOUNT_NAME"])


class LoggingIn(unittest.TestCase):
    def test_by_password_and_by_key(self):
        for login in [by_password, lambda rest: PyKazooClient(BASE, rest).authentication.api_auth(os.environ["API_KEY"])]:
            rest = RestRequest(BASE)
            login(rest)
            self.assertEqual(rest.account_id, ACCOUNT_ID)
            self.assertEqual(rest.get(GROUPS)["status"], "success")

    def test_each_refusal_raises_the_client_s_exception_for_it(self):
        with self.assertRaises(PermissionError):
            by_password(RestRequest(BASE), "wrong")
        with self.assertRaises(PermissionError):
            RestRequest(BASE).get(GROUPS)
        with self.assertRaises(PermissionError):
            RestRequest(BASE, "nonsense").get(GROUPS)
        rest = RestRequest(BASE)
        by_password(rest)
        with self.assertRaisesRegex(RuntimeError, "Error Code: 403"):
            rest.get(f"accounts/{OTHER_ACCOUNT_ID}/groups")
        with self.assertRaisesRegex(ValueError, "Error Code: 404"):
            rest.get(f"{GROUPS}/{'0' * 32}")
        with self.assertRaisesRegex(ValueError, "Error Code: 405"):
            rest.post(GROUPS, {"data": {"name": "x"}})
        with self.assertRaisesRegex(ValueError, "Error Code: 415"):
            rest.post(f"{GROUPS}/{self.some_group(rest)}?verb=PATCH", {"data": {}}, content_type="text/plain")

    def some_group(self, rest):
        group = rest.put(GROUPS, {"data": {"name": "Some"}})["data"]
        self.addCleanup(rest.delete, f"{GROUPS}/{group['id']}")
        return group["id"]


class Groups(unittest.TestCase):
    def setUp(self):
        self.rest = RestRequest(BASE)
        by_password(self.rest)

    def create(self, **data):
        group = self.rest.put(GROUPS, {"data": data})["data"]
        self.addCleanup(self.delete_if_there, group["id"])
        return group

    def delete_if_there(self, group_id):
        try:
            self.rest.delete(f"{GROUPS}/{group_id}")
        except ValueError:
            pass

    def names(self, action=GROUPS, **parameters):
        return sorted(row["name"] for row in self.rest.get(action, parameters)["data"])

    def test_a_group_from_creation_to_deletion(self):
        endpoints = {USER_ID: {"type": "user", "weight": 1}}
        created = self.rest.put(GROUPS, {"data": {"name": "Sales", "endpoints": endpoints}})
        group = created["data"]
        self.addCleanup(self.delete_if_there, group["id"])
        item = f"{GROUPS}/{group['id']}"
        read = self.rest.get(item)
        self.assertEqual((read["data"], read["revision"]), (group, created["revision"]))
        self.assertEqual(self.names(f"accounts/{ACCOUNT_ID}/users/{USER_ID}/groups"), ["Sales"])

        group["name"] = "Sales 2"
        group["ui_metadata"] = {"origin": "acceptance"}
        self.assertEqual(self.rest.post(item, {"data": group})["data"], group)

        # The client has no PATCH. The envelope can name another verb than the request's method.
        patched = self.rest.post(item, {"verb": "PATCH", "data": {"ui_metadata": None, "custom": "value"}})
        self.assertEqual((patched["data"]["name"], patched["data"]["custom"]), ("Sales 2", "value"))
        self.assertNotIn("ui_metadata", patched["data"])

        self.assertEqual(self.rest.delete(item)["data"]["_read_only"], {"deleted": True})
        with self.assertRaisesRegex(ValueError, "bad_identifier"):
            self.rest.get(item)

    def test_a_trailing_slash_is_ignored(self):
        group = self.rest.put(GROUPS + "/", {"data": {"name": "Slash"}})["data"]
        self.addCleanup(self.delete_if_there, group["id"])
        self.assertEqual(self.rest.get(f"{GROUPS}/{group['id']}/")["data"], group)

    def test_filters_choose(self):
        self.create(name="SDK Update Test 508")
        self.create(name="Other", flags=["x"])
        self.assertEqual(self.names(filter_name="SDK Update Test 508"), ["SDK Update Test 508"])
        self.assertEqual(self.names(filter_not_name="Other"), ["SDK Update Test 508"])
        self.assertEqual(self.names(has_key="flags", paginate="false", _="1795444412385"), ["Other"])

    def test_pages_follow_each_other(self):
        names = [f"Page {number}" for number in range(5)]
        for name in names:
            self.create(name=name)
        seen, parameters = [], {"page_size": 2}
        while True:
            page = self.rest.get(GROUPS, parameters)
            self.assertEqual(page["page_size"], len(page["data"]))
            seen.extend(row["name"] for row in page["data"])
            if "next_start_key" not in page:
                break
            parameters["start_key"] = page["next_start_key"]
        self.assertEqual(sorted(seen), names)

    def test_errors_of_the_data_are_listed_by_field(self):
        with self.assertRaisesRegex(ValueError, '"name":{"required":'):
            self.rest.put(GROUPS, {"data": {}})
        with self.assertRaisesRegex(ValueError, '"name":{"minLength":'):
            self.rest.put(GROUPS, {"data": {"name": ""}})
        with self.assertRaisesRegex(ValueError, '"data":{"required":'):
            self.rest.put(GROUPS, {"name": "no envelope"})


if __name__ == "__main__":
    unittest.main()
