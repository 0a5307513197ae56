//! What the user of a node may do: whether CouchDB takes it for a server administrator, and whom a database lets in.

use datastore::{DbName, Deadline};
use reqwest::Method;
use serde::Deserialize;

use crate::client::{Client, Way};
use crate::error::{Error, Target};
use crate::request::{Path, Request};

/// The role of server administrators. They may do everything.
const ADMIN: &str = "_admin";

/// The user that a client is logged in as at a node.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Session {
    /// The user's name. `None` if nobody is logged in.
    pub name: Option<String>,
    /// The user's roles.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What a user may do with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// To read and to write documents, but no design documents.
    Member,
    /// To write design documents too.
    Admin,
}

/// Whom a database lets in.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Security {
    #[serde(default)]
    admins: Users,
    #[serde(default)]
    members: Users,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Users {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
}

impl Users {
    fn has(&self, user: &Session) -> bool {
        let is_named = user.name.as_ref().is_some_and(|name| self.names.contains(name));
        is_named || user.roles.iter().any(|role| self.roles.contains(role))
    }
}

impl Session {
    /// Whether the user is a server administrator.
    #[must_use]
    pub fn is_server_admin(&self) -> bool {
        self.roles.iter().any(|role| role == ADMIN)
    }
}

impl Security {
    /// What a user may do. A database that names no members lets everybody in.
    #[must_use]
    pub fn right_of(&self, user: &Session) -> Right {
        let is_public = self.members.names.is_empty() && self.members.roles.is_empty();
        if user.is_server_admin() || self.admins.has(user) {
            Right::Admin
        } else if is_public || self.members.has(user) {
            Right::Member
        } else {
            Right::None
        }
    }
}

/// The answer to `GET /_session`.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "userCtx")]
    user: Session,
}

impl Client {
    /// Asks each node which user this client is logged in as. Each answer comes with the node's address.
    ///
    /// ```no_run
    /// # async fn example(client: couchdb::Client, by: datastore::Deadline) {
    /// for (address, session) in client.sessions(by).await {
    ///     if session.is_ok_and(|session| !session.is_server_admin()) {
    ///         println!("{address}: no server administrator");
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn sessions(&self, deadline: Deadline) -> Vec<(String, Result<Session, Error>)> {
        let ask = |node| async move {
            let request = Request::read(Method::GET, Path::server("_session"), Target::Database);
            let reply = self.attempt(Way::Fresh, node, &request, deadline).await?;
            let answer: Answer = reply.whole(deadline, self.settings().max_answer_bytes).await?.json()?;
            Ok(answer.user)
        };
        self.of_each_node(ask).await
    }

    /// Whom a database lets in.
    ///
    /// ```no_run
    /// # async fn example(
    /// #     client: couchdb::Client, db: datastore::DbName, user: couchdb::Session, by: datastore::Deadline,
    /// # ) -> Result<(), couchdb::Error> {
    /// println!("{:?}", client.security(&db, by).await?.right_of(&user));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Forbidden` or `Unauthorized` if the user is not let in. `DatabaseMissing` if there is no such database.
    pub async fn security(&self, db: &DbName, deadline: Deadline) -> Result<Security, Error> {
        let request = Request::read(Method::GET, Path::db(db).resource("_security"), Target::Database);
        self.send_whole(&request, deadline).await?.json()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Right, Security, Session};

    fn user(name: Option<&str>, roles: &[&str]) -> Session {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        Session { name: name.map(str::to_owned), roles }
    }

    #[test]
    fn a_database_lets_in_its_admins_and_members() {
        let of_admins = json!({"admins": {"roles": ["_admin"]}, "members": {"roles": ["_admin"]}});
        let named =
            json!({"admins": {"names": ["boss"]}, "members": {"names": ["kazoo"], "roles": ["staff"]}});
        let (kazoo, boss, staff) =
            (user(Some("kazoo"), &[]), user(Some("boss"), &[]), user(Some("x"), &["staff"]));
        let (admin, nobody) = (user(Some("a"), &["_admin"]), user(None, &[]));
        for (security, user, right) in [
            (&of_admins, &admin, Right::Admin),
            (&of_admins, &kazoo, Right::None),
            (&named, &admin, Right::Admin),
            (&named, &boss, Right::Admin),
            (&named, &kazoo, Right::Member),
            (&named, &staff, Right::Member),
            (&named, &nobody, Right::None),
            (&json!({}), &nobody, Right::Member),
            (&json!({"admins": {"names": ["boss"]}}), &kazoo, Right::Member),
            (&json!({"members": {"names": [], "roles": []}}), &kazoo, Right::Member),
        ] {
            let read: Security = serde_json::from_value(security.clone()).unwrap();
            assert_eq!(read.right_of(user), right, "{security} {user:?}");
        }
    }
}
