"""Tests the groups API with kazoo-sdk, as its documentation shows it. `../run` sets the environment."""

import os
import unittest

import kazoo
from kazoo.exceptions import KazooApiAuthenticationError, KazooApiBadDataError, KazooApiError
from kazoo.request_objects import KazooRequest

BASE = os.environ["BASE"]
ACCOUNT_ID = os.environ["ACCOUNT_ID"]
OTHER_ACCOUNT_ID = os.environ["OTHER_ACCOUNT_ID"]
USER_ID = os.environ["USER_ID"]


def by_password(password=os.environ["PASSWORD"], username=os.environ["USERNAME"]):
    """Returns a client that logs in with a user's name and password."""
    return kazoo.Client(
        base_url=BASE,
        username=username,
        password=password,
        account_name=os.environ["ACCOUNT_NAME"],
    )


def by_key():
    """Returns a client that logs in with the account's API key."""
    return kazoo.Client(base_url=BASE, api_key=os.environ["API_KEY"])


class LoggingIn(unittest.TestCase):
    def test_by_password_and_by_key(self):
        for client in [by_password(), by_key()]:
            client.authenticate()
            self.assertEqual(client.auth_data["status"], "success")
            self.assertEqual(client.auth_data["data"]["account_id"], ACCOUNT_ID)
            self.assertEqual(client.get_groups(ACCOUNT_ID)["status"], "success")

    def test_a_wrong_password_is_an_authentication_error(self):
        with self.assertRaises(KazooApiAuthenticationError):
            by_password("wrong").authenticate()

    def check_another_login(self, client, stale):
        """Checks that the client logs in once more and repeats the call once."""
        client.auth_token = stale
        with self.assertLogs("kazoo.client", "ERROR") as log:
            self.assertEqual(client.get_groups(ACCOUNT_ID)["status"], "success")
        self.assertEqual(len(log.output), 1)
        self.assertNotEqual(client.auth_token, stale)

    def test_an_invalid_token_is_replaced_and_the_call_repeated(self):
        client = by_password()
        client.authenticate()
        for stale in ["nonsense", "", client.auth_token[:-8] + "AAAAAAAA"]:
            self.check_another_login(client, stale)

    def test_a_logged_out_token_is_replaced_and_the_call_repeated(self):
        client = by_password(username="leaver")
        client.authenticate()
        given_back = client.auth_token
        KazooRequest("/token_auth", method="delete").execute(BASE, token=given_back)
        self.check_another_login(client, given_back)

    def test_another_account_is_refused_without_another_login(self):
        client = by_password()
        client.authenticate()
        with self.assertNoLogs("kazoo.client", "ERROR"), self.assertRaises(KazooApiError) as refused:
            client.get_groups(OTHER_ACCOUNT_ID)
        self.assertEqual(refused.exception.args[2], "forbidden")


class Groups(unittest.TestCase):
    def setUp(self):
        self.client = by_password()
        self.client.authenticate()

    def create(self, **data):
        group = self.client.create_group(ACCOUNT_ID, data)["data"]
        self.addCleanup(self.delete_if_there, group["id"])
        return group

    def delete_if_there(self, group_id):
        try:
            self.client.delete_group(ACCOUNT_ID, group_id)
        except KazooApiError:
            pass

    def ask(self, path, method="get", data=None, **parameters):
        """Sends a request with parameters; the client has no method for this."""
        request = KazooRequest("/accounts/{account_id}" + path, method=method, get_params=parameters)
        return request.execute(BASE, data=data, token=self.client.auth_token, account_id=ACCOUNT_ID)

    def names(self, path="/groups", **parameters):
        return [row["name"] for row in self.ask(path, **parameters)["data"]]

    def test_a_group_from_creation_to_deletion(self):
        endpoints = {USER_ID: {"type": "user", "weight": 1}}
        created = self.client.create_group(ACCOUNT_ID, {"name": "Sales", "endpoints": endpoints})
        self.assertEqual(created["status"], "success")
        group = created["data"]
        self.addCleanup(self.delete_if_there, group["id"])
        self.assertEqual((group["name"], group["endpoints"]), ("Sales", endpoints))

        read = self.client.get_group(ACCOUNT_ID, group["id"])
        self.assertEqual((read["data"], read["revision"]), (group, created["revision"]))

        # Send back the whole document with its id and an unknown field. The client returns ordered
        # dictionaries; this test does not compare the order.
        group = dict(group)
        group["name"] = "Sales 2"
        group["ui_metadata"] = {"origin": "acceptance"}
        updated = self.client.update_group(ACCOUNT_ID, group["id"], group)
        self.assertEqual(dict(updated["data"]), group)
        self.assertNotEqual(updated["revision"], created["revision"])

        deleted = self.client.delete_group(ACCOUNT_ID, group["id"])
        self.assertEqual(deleted["data"]["_read_only"], {"deleted": True})
        with self.assertRaises(KazooApiError) as missing:
            self.client.get_group(ACCOUNT_ID, group["id"])
        self.assertEqual(missing.exception.args[2], "bad_identifier")
        self.assertRegex(missing.exception.args[1], "^[0-9a-f]{32}$")

    def test_a_listing_has_the_fields_of_each_group(self):
        self.create(name="One", endpoints={USER_ID: {"type": "user"}}, smartpbx={"x": {"enabled": True}})
        self.create(name="Two", flags=["a", "b"])
        rows = {row["name"]: row for row in self.client.get_groups(ACCOUNT_ID)["data"]}
        self.assertEqual((rows["One"]["features"], rows["One"]["endpoints"]), (["x"], 1))
        self.assertEqual((rows["Two"]["features"], rows["Two"]["endpoints"]), ([], 0))
        self.assertEqual(rows["Two"]["flags"], ["a", "b"])
        self.assertEqual(self.names("/users/" + USER_ID + "/groups"), ["One"])

    def test_filters_choose(self):
        self.create(name="SDK Update Test 508")
        self.create(name="Other", flags=["x"])
        self.assertEqual(self.names(filter_name="SDK Update Test 508"), ["SDK Update Test 508"])
        self.assertEqual(self.names(filter_not_name="Other"), ["SDK Update Test 508"])
        self.assertEqual(self.names(has_key="flags", paginate="false"), ["Other"])

    def test_a_patch_comes_through_post(self):
        group = self.create(name="Patched", custom={"kept": 1, "gone": 2})
        patched = self.ask(
            "/groups/" + group["id"], "post", {"custom": {"gone": None, "new": 3}}, verb="PATCH"
        )
        self.assertEqual(patched["data"]["custom"], {"kept": 1, "new": 3})
        self.assertEqual(patched["data"]["name"], "Patched")

    def test_errors_of_the_data_are_listed_by_field(self):
        # The client sends no body if there is no data.
        with self.assertRaises(KazooApiBadDataError) as refused:
            self.client.create_group(ACCOUNT_ID, {})
        self.assertIn("required", refused.exception.field_errors["name"])
        with self.assertRaises(KazooApiBadDataError) as refused:
            self.client.create_group(ACCOUNT_ID, {"name": "", "endpoints": []})
        self.assertIn("minLength", refused.exception.field_errors["name"])
        self.assertIn("type", refused.exception.field_errors["endpoints"])
        group = self.create(name="Right")
        with self.assertRaises(KazooApiBadDataError) as refused:
            self.client.update_group(ACCOUNT_ID, group["id"], {"name": "x" * 129})
        self.assertIn("maxLength", refused.exception.field_errors["name"])
        self.assertEqual(self.client.get_group(ACCOUNT_ID, group["id"])["data"]["name"], "Right")

    def test_an_id_that_is_taken_is_a_conflict(self):
        group = self.create(name="First")
        with self.assertRaises(KazooApiError) as refused:
            self.client.create_group(ACCOUNT_ID, {"name": "Second", "id": group["id"]})
        self.assertEqual(refused.exception.args[2], "datastore_conflict")


if __name__ == "__main__":
    unittest.main()
