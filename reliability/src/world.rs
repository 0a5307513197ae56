//! Stores with accounts in them. An embedded store is made once for a binary and then copied, because making
//! keys takes time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::couch::Couch;
use crate::process::{Launch, Server};
use crate::settings::Outcome;

/// The administrator of each account, with the digest of `admin:secret` that logins send.
pub(crate) const USERNAME: &str = "admin";
pub(crate) const PASSWORD: &[u8] = b"secret\n";
pub(crate) const CREDENTIALS: &str = "2d1e4f91dae49cd08eaba2293e422273";

/// An account, its administrator, and a token of his.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) token: String,
}

impl Account {
    /// Creates an account in a store.
    pub(crate) fn create(launch: &Launch, name: &str) -> Outcome<Self> {
        let id = launch.run(&["account", "create", "--name", name], b"")?;
        let user =
            ["user", "create", "--account", &id, "--username", USERNAME, "--password-stdin", "--admin"];
        let user_id = launch.run(&user, PASSWORD)?;
        let token = launch.run(&["token", "--account", &id, "--user", &user_id, "--ttl", "86400"], b"")?;
        Ok(Self { name: name.to_owned(), id, user_id, token })
    }

    /// The path of the account's groups, with something behind it.
    pub(crate) fn groups(&self, rest: &str) -> String {
        format!("/v2/accounts/{}/groups{rest}", self.id)
    }

    /// The path of the administrator's groups.
    pub(crate) fn groups_of_user(&self, rest: &str) -> String {
        format!("/v2/accounts/{}/users/{}/groups{rest}", self.id, self.user_id)
    }

    /// The name of the account's database.
    pub(crate) fn db(&self) -> String {
        format!("account/{}/{}/{}", &self.id[..2], &self.id[2..4], &self.id[4..])
    }

    /// A line that `import` takes: a group whose public members are these.
    pub(crate) fn line(&self, id: &str, public: &Value) -> String {
        let mut doc = json!({
            "_id": id,
            "pvt_type": "group",
            "pvt_created": 63_962_663_751_u64,
            "pvt_modified": 63_962_663_751_u64,
            "pvt_account_id": self.id,
        });
        if let (Value::Object(doc), Value::Object(public)) = (&mut doc, public) {
            doc.extend(public.clone());
        }
        json!({"db": self.db(), "doc": doc}).to_string()
    }

    fn to_json(&self) -> Value {
        json!({"name": self.name, "id": self.id, "user_id": self.user_id, "token": self.token})
    }

    fn of_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Some(Self { name: text("name")?, id: text("id")?, user_id: text("user_id")?, token: text("token")? })
    }
}

/// A store: an account whose clients behave, one whose clients do not.
pub(crate) struct World {
    pub(crate) launch: Launch,
    pub(crate) good: Account,
    pub(crate) bad: Account,
    folder: TempDir,
    /// The CouchDB that has the accounts, if it is not an embedded store.
    couch: Option<Couch>,
}

impl Drop for World {
    fn drop(&mut self) {
        for account in [&self.good, &self.bad] {
            if let Some(couch) = &self.couch {
                couch.delete_db(&account.db());
            }
        }
    }
}

/// The id of the one group that the good account has.
pub(crate) const GROUP: &str = "00000000000000000000000000000001";

impl World {
    /// A copy of the store that was made for this binary. It is made if it is not there.
    pub(crate) fn copy(binary: &str, template: &Path) -> Outcome<Self> {
        let accounts = template.join("accounts.json");
        let is_fresh = fs::metadata(&accounts).and_then(|there| there.modified()).is_ok_and(|made| {
            // Tokens are good for a day, and a section lets 20 hours pass.
            made.elapsed().is_ok_and(|age| age.as_secs() < 10_800)
        });
        if !is_fresh {
            make(binary, template)?;
        }
        let text =
            fs::read_to_string(&accounts).map_err(|error| format!("{}: {error}", accounts.display()))?;
        let accounts: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let account = |name: &str| Account::of_json(&accounts[name]).ok_or(format!("no account {name}"));
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let path = folder.path().join("store.db");
        fs::copy(template.join("store.db"), &path)
            .map_err(|error| format!("the store is not copied: {error}"))?;
        let launch = Launch::of(binary, &format!("sqlite:{}", path.display()));
        Ok(Self { launch, good: account("good")?, bad: account("bad")?, folder, couch: None })
    }

    /// Accounts of their own in a CouchDB.
    pub(crate) fn in_couchdb(binary: &str, couch: Couch) -> Outcome<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
        let launch = Launch::of(binary, &couch.url());
        let account =
            |name: &str| Account::create(&launch, &format!("{name} {} {number}", std::process::id()));
        let (good, bad) = (account("good")?, account("bad")?);
        let line = the_good_group(&good);
        let world = Self { launch, good, bad, folder, couch: Some(couch) };
        world.import(&[line])?;
        Ok(world)
    }

    /// The folder of the store.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the store.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    /// Imports lines.
    pub(crate) fn import(&self, lines: &[String]) -> Outcome {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        self.launch.run(&["import", "-"], text.as_bytes()).map(drop)
    }

    /// Starts the server.
    pub(crate) fn start(&self) -> Outcome<Server> {
        self.launch.start(&self.folder.path().join("server.log"))
    }
}

/// The line of the good account's one group.
fn the_good_group(good: &Account) -> String {
    good.line(GROUP, &json!({"name": "the good one", "endpoints": {(&good.user_id): {"type": "user"}}}))
}

fn make(binary: &str, template: &Path) -> Outcome {
    let _ = fs::remove_dir_all(template);
    fs::create_dir_all(template).map_err(|error| format!("cannot make {}: {error}", template.display()))?;
    let launch = Launch::of(binary, &format!("sqlite:{}", template.join("store.db").display()));
    let (good, bad) = (Account::create(&launch, "good")?, Account::create(&launch, "bad")?);
    launch.run(&["import", "-"], format!("{}\n", the_good_group(&good)).as_bytes())?;
    if fs::metadata(template.join("store.db-wal")).is_ok_and(|wal| wal.len() > 0) {
        return Err("the store was not closed: it has a write-ahead log".to_owned());
    }
    let accounts = json!({"good": good.to_json(), "bad": bad.to_json()});
    fs::write(template.join("accounts.json"), accounts.to_string()).map_err(|error| error.to_string())
}
