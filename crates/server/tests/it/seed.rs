//! The documents that the recordings begin with, and the names that the recordings call them by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::run_ok;
use crate::tokens::SigningKey;

/// The folder of the recordings.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance"))
}

/// The seed.
pub(crate) struct Seed {
    lines: Vec<Value>,
    /// Ids and other texts by the recordings' names: `alpha`, `alpha_admin`, `alpha_realm`…
    pub(crate) names: BTreeMap<String, String>,
    /// The documents by database and id.
    docs: BTreeMap<(String, String), Value>,
}

impl Seed {
    /// Reads the seed.
    pub(crate) fn read() -> Self {
        Self::read_with(Vec::new())
    }

    /// Imports the seed into a store, with a new signing key and every view.
    pub(crate) fn import_into(store: &str) -> (Self, SigningKey) {
        let (seed, key) = (Self::read(), SigningKey::generate());
        run_ok(&["import", "--store", store, "-"], seed.lines(&key).as_bytes());
        run_ok(&["views", "push", "--store", store], b"");
        (seed, key)
    }

    /// Reads the seed and adds lines of a test's own to it.
    pub(crate) fn read_with(more: Vec<Value>) -> Self {
        let text = std::fs::read_to_string(folder().join("seed.ndjson")).expect("the seed is there");
        let seeded = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = seeded.chain(more).collect();
        let mut seed = Self { lines, names: BTreeMap::new(), docs: BTreeMap::new() };
        seed.name_documents();
        seed
    }

    fn name_documents(&mut self) {
        let text = |doc: &Value, key: &str| doc[key].as_str().unwrap_or_default().to_owned();
        let mut account_names = BTreeMap::new();
        for line in &self.lines {
            let (db, doc) = (text(line, "db"), &line["doc"]);
            let id = text(doc, "_id");
            self.docs.insert((db.clone(), id.clone()), doc.clone());
            if doc["pvt_type"] == "account" {
                let name = text(doc, "name");
                for (symbol, value) in [
                    (name.clone(), id.clone()),
                    (format!("{name}_name"), name.clone()),
                    (format!("{name}_realm"), text(doc, "realm")),
                    (format!("{name}_key"), text(doc, "pvt_api_key")),
                    (format!("db:{name}"), text(doc, "pvt_account_db")),
                ] {
                    self.names.insert(symbol, value);
                }
                account_names.insert(id, name);
            }
        }
        for ((_, id), doc) in &self.docs {
            let Some(account) = account_names.get(&text(doc, "pvt_account_id")) else { continue };
            let role = match text(doc, "pvt_type").as_str() {
                "device" => "device",
                "user" if account == "master" => "user",
                "user" if doc["priv_level"] == "admin" => "admin",
                "user" => "user",
                _ => continue,
            };
            self.names.insert(format!("{account}_{role}"), id.clone());
            if role == "admin" {
                let md5 = text(doc, "pvt_md5_auth");
                let credentials = format!("{}:{md5}", text(doc, "pvt_account_id"));
                let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, credentials);
                self.names.insert(format!("basic:{account}_{role}"), encoded);
            }
        }
    }

    /// A member of a document in an account's database, as text.
    pub(crate) fn account_doc_text(&self, account_id: &str, id: &str, key: &str) -> Option<String> {
        let db = format!("account/{}/{}/{}", &account_id[..2], &account_id[2..4], &account_id[4..]);
        self.docs.get(&(db, id.to_owned()))?[key].as_str().map(str::to_owned)
    }

    /// A member of `system_config/auth`'s default section.
    pub(crate) fn system_auth(&self, key: &str) -> String {
        let auth = &self.docs[&("system_config".to_owned(), "auth".to_owned())];
        auth["default"][key].as_str().expect("the seed says it").to_owned()
    }

    /// The seed as `import` takes it, with the key that tokens are signed with.
    pub(crate) fn lines(&self, key: &SigningKey) -> String {
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.private_pem());
        let attachment = json!({"content_type": "application/x-pem-file", "data": data});
        let doc = json!({
            "_id": self.system_auth("system_key"),
            "pvt_type": "system_key",
            "_attachments": {"private_key.pem": attachment},
        });
        let key_line = json!({"db": "system_auth", "doc": doc});
        self.lines.iter().chain([&key_line]).map(|line| format!("{line}\n")).collect()
    }

    /// The databases that the seed makes.
    pub(crate) fn databases(&self) -> BTreeSet<String> {
        let seeded = self.docs.keys().map(|(db, _)| db.clone());
        seeded.chain(["system_auth".to_owned()]).collect()
    }
}
