//! Many accounts below one. They are imported at once, because a command for each would take minutes.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::server::{Account, Importing, export};

/// An account, and the accounts below it that its token may read.
pub struct Herd {
    pub owner: Account,
    pub accounts: Vec<Account>,
    /// The design documents of an account's database.
    designs: Vec<Value>,
}

impl Herd {
    /// Creates the account above. `folder` is for files of this run.
    pub fn new(binary: &str, store: &str, folder: &Path) -> Self {
        let template = format!("sqlite:{}", folder.join("template.db").display());
        Account::fill(binary, &template, "template", 0);
        let lines = export(binary, &template);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let designs = lines
            .filter(|line| line["db"].as_str().is_some_and(|db| db.starts_with("account/")))
            .map(|mut line| line["doc"].take())
            .filter(|doc| doc["_id"].as_str().is_some_and(|id| id.starts_with("_design/")))
            .map(without_rev);
        Self {
            designs: designs.collect(),
            owner: Account::fill(binary, store, "herd", 0),
            accounts: Vec::new(),
        }
    }

    /// Adds accounts until there are `accounts`. Each has a user and `groups` groups. It answers the most memory that
    /// the import used, in kB.
    pub fn grow_to(&mut self, accounts: usize, groups: usize, binary: &str, store: &str) -> u64 {
        let mut importing = Importing::start(binary, store);
        let mut lines = BufWriter::new(importing.input());
        let mut add = |db: &str, doc: &dyn std::fmt::Display| {
            writeln!(lines, r#"{{"db":"{db}","doc":{doc}}}"#).expect("a line");
        };
        for number in self.accounts.len()..accounts {
            let account = Account {
                // It is random enough to be in a shard of its own, and no other run has it.
                id: format!(
                    "{:08x}{:08x}{number:016x}",
                    (number as u32).wrapping_mul(0x9e37_79b1),
                    std::process::id()
                ),
                user_id: self.owner.user_id.clone(),
                token: self.owner.token.clone(),
            };
            let of_account = self.account_document(&account, number);
            add("accounts", &of_account);
            let db = account.db();
            add(&db, &of_account);
            add(&db, &user_document(&account));
            self.designs.iter().for_each(|design| add(&db, design));
            (1..=groups).for_each(|group| add(&db, &account.document(group)));
            self.accounts.push(account);
        }
        lines.flush().expect("the lines are sent");
        drop(lines);
        importing.end()
    }

    /// Deletes the accounts' databases if the store is a CouchDB.
    pub fn remove(&self, store: &str) {
        self.accounts.iter().chain([&self.owner]).for_each(|account| account.remove(store));
    }

    fn account_document(&self, Account { id, .. }: &Account, number: usize) -> Value {
        let name = format!("herd {number}");
        json!({
            "_id": id, "name": name, "realm": format!("{id}.example.com"), "pvt_enabled": true,
            "pvt_tree": [self.owner.id], "pvt_type": "account", "pvt_account_id": id, "pvt_vsn": "1",
            "pvt_created": 63_962_663_751_u64, "pvt_modified": 63_962_663_751_u64,
        })
    }
}

fn user_document(Account { id, user_id, .. }: &Account) -> Value {
    json!({
        "_id": user_id, "username": "admin", "priv_level": "admin", "enabled": true, "pvt_type": "user",
        "pvt_account_id": id, "pvt_created": 63_962_663_751_u64, "pvt_modified": 63_962_663_751_u64,
    })
}

fn without_rev(doc: Value) -> Value {
    let members: Map<String, Value> = serde_json::from_value(doc).expect("an object");
    members.into_iter().filter(|(name, _)| name != "_rev").collect()
}
