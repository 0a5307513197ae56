//! A served account with an administrator on an embedded store, and requests with the administrator's token.

use auth::Secret;
use auth::bootstrap::NewUser;
use serde_json::{Value, json};

use crate::accounts::{AccountWithUser, OpenStore};
use crate::http_client::{Response, send};
use crate::process::Server;

/// The name of the store's file.
const STORE: &str = "store.db";

/// A served account.
pub(crate) struct Account {
    folder: tempfile::TempDir,
    server: Option<Server>,
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) token: String,
}

impl Account {
    /// Makes a store with one account and one user, and serves it.
    pub(crate) fn served() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let administrator = NewUser { username: "admin", password: &Secret::new("secret"), is_admin: true };
        let made = OpenStore::open(&folder.path().join(STORE)).account("alpha", &administrator);
        let AccountWithUser { id, user_id, token } = made;
        let mut account = Self { folder, server: None, id, user_id, token };
        account.server = Some(Server::start(&account.store(), &[]));
        account
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> String {
        format!("sqlite:{}", self.folder.path().join(STORE).display())
    }

    /// The running server.
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// The name of the account's database.
    pub(crate) fn db(&self) -> String {
        format!("account/{}/{}/{}", &self.id[..2], &self.id[2..4], &self.id[4..])
    }

    /// Stops the server, does something to the store by the command line, and serves it again.
    pub(crate) fn while_stopped<T>(&mut self, command: impl FnOnce(&str) -> T) -> T {
        self.stop();
        let done = command(&self.store());
        self.server = Some(Server::start(&self.store(), &[]));
        done
    }

    /// Stops the server and serves the store again, with more arguments.
    pub(crate) fn restart(&mut self, arguments: &[&str]) {
        self.stop();
        self.server = Some(Server::start(&self.store(), arguments));
    }

    /// As [`Account::restart`], with variables of the environment.
    pub(crate) fn restart_with(&mut self, arguments: &[&str], variables: &[(&str, &str)]) {
        self.stop();
        self.server = Some(Server::start_with(&self.store(), arguments, variables));
    }

    /// Stops the server and serves the store again. No file can grow beyond this many `kilobytes`.
    pub(crate) fn restart_on_small_disk(&mut self, kilobytes: u32) {
        self.stop();
        self.server = Some(Server::start_on_small_disk(&self.store(), kilobytes));
    }

    /// Serves the store again after the server was killed.
    pub(crate) fn restart_after_kill(&mut self, arguments: &[&str]) {
        drop(self.server.take());
        self.server = Some(Server::start(&self.store(), arguments));
    }

    fn stop(&mut self) {
        let (code, _) = self.server.take().unwrap().stop();
        assert_eq!(code, Some(0));
    }

    /// Sends a request with the account's token. A path that begins with `/groups` or `/users` is one
    /// below the account.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let token = ("X-Auth-Token", self.token.as_str());
        self.send_as_stranger(method, path, &[&[token], headers].concat(), body)
    }

    /// As [`Account::send`], without the token.
    pub(crate) fn send_as_stranger(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let is_below = ["/groups", "/users", "/devices", "/nosuch"].iter().any(|top| path.starts_with(top));
        let target = if is_below { format!("/v2/accounts/{}{path}", self.id) } else { path.to_owned() };
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        send(self.server().address, method, &target, &headers, body)
    }

    /// Sends JSON with the account's token.
    pub(crate) fn ask(&self, method: &str, path: &str, data: &Value) -> Response {
        let body = json!({ "data": data }).to_string();
        self.send(method, path, &[("Content-Type", "application/json")], body.as_bytes())
    }

    /// Creates groups that are nothing but an id and a name.
    pub(crate) fn create_all(&self, ids: &[&str]) {
        for id in ids {
            let answer = self.ask("PUT", "/groups", &json!({"id": id, "name": format!("group {id}")}));
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }

    /// The ids that a listing answers, in its order.
    pub(crate) fn ids(&self, path: &str) -> Vec<String> {
        let answer = self.send("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        ids_of(&json_of(&answer))
    }
}

/// The body of an answer.
pub(crate) fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{response:?}"))
}

/// The ids of a listing's rows.
pub(crate) fn ids_of(listing: &Value) -> Vec<String> {
    listing["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}
