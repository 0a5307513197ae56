//! The replay of one recording against a store, and how its outcome is held against the ratchet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::symbols::Symbols;
use crate::process::{Server, run_ok};
use crate::seed::{Seed, folder};
use crate::tokens::SigningKey;

/// A release of Kazoo whose answers were recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// Kazoo 5.0. Its seed has no sign of a release, and the server serves 5.0 then.
    Kazoo50,
    /// Kazoo 4.3.
    Kazoo43,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Self::Kazoo50 => "5.0",
            Self::Kazoo43 => "4.3",
        }
    }

    /// The folder of its recordings.
    pub(super) fn recordings(self) -> PathBuf {
        match self {
            Self::Kazoo50 => folder(),
            Self::Kazoo43 => folder().join("4.3"),
        }
    }

    /// The arguments of `serve`.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kazoo50 => &[],
            Self::Kazoo43 => &["--profile", "4.3"],
        }
    }

    /// Kazoo 4.3 charges every request. Its answers were recorded with buckets that never became empty.
    fn more_documents(self) -> Vec<Value> {
        let endless = json!({"crossbar": {"max_bucket_tokens": 1_000_000_000}});
        let buckets = json!({"_id": "token_buckets", "pvt_type": "config", "default": endless});
        match self {
            Self::Kazoo50 => Vec::new(),
            Self::Kazoo43 => vec![json!({"db": "system_config", "doc": buckets})],
        }
    }

    /// The deviations that hold for it. A name that begins with a release holds for that one alone.
    fn deviations(self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(folder().join("deviations.json")).unwrap();
        let all: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        let of_this = |name: String| match name.split_once(".") {
            Some(("5", _) | ("4", _)) => name.strip_prefix(&format!("{}.", self.name())).map(str::to_owned),
            _ => Some(name),
        };
        all.into_keys().filter_map(of_this).collect()
    }
}

/// The steps of one recording that were answered as recorded, and how the others were.
pub(super) struct Outcome {
    release: Release,
    recording: String,
    matched: usize,
    total: usize,
    report: String,
}

impl Outcome {
    pub(super) fn check(&self, store: &str) {
        let Self { release, recording, matched, total, report } = self;
        let ratchet = std::fs::read_to_string(release.recordings().join("ratchet.json")).unwrap();
        let ratchet: BTreeMap<String, usize> = serde_json::from_str(&ratchet).unwrap();
        let wanted = ratchet[recording];
        let name = format!("{recording} of {}", release.name());
        println!("{name} on {store}: {matched} of {total} steps\n{report}");
        assert!(
            *matched >= wanted,
            "{name} on {store}: {matched} of {total} steps match, {wanted} did before\n{report}"
        );
        assert!(*matched <= wanted, "{matched} steps of {name} match now: raise its ratchet from {wanted}");
    }
}

pub(super) struct Replay {
    release: Release,
    pub(super) seed: Seed,
    pub(super) key: SigningKey,
    pub(super) other_key: SigningKey,
    deviations: BTreeSet<String>,
}

impl Replay {
    pub(super) fn of(release: Release) -> Self {
        Self {
            release,
            seed: Seed::read_with(release.more_documents()),
            key: SigningKey::generate(),
            other_key: SigningKey::generate(),
            deviations: release.deviations(),
        }
    }

    /// The members of stored documents that differ from crossbar's on purpose: `stored.NAME` in the list of
    /// deviations.
    pub(super) fn deviating_members(&self) -> impl Iterator<Item = &str> {
        self.deviations.iter().filter_map(|name| name.strip_prefix("stored."))
    }

    /// Whether a step is answered otherwise on purpose.
    pub(super) fn is_deviation(&self, step: &str) -> bool {
        self.deviations.contains(step)
    }

    pub(super) fn run(&self, recording: &str, store: &str) -> (Outcome, Symbols<'_>) {
        let imported = run_ok(&["import", "--store", store, "-"], self.seed.lines(&self.key).as_bytes());
        assert!(imported.contains("documents imported"), "{imported}");
        // In a CouchDB the views for logging in are the operator's to create.
        run_ok(&["views", "push", "--store", store], b"");
        let server = Server::start(store, self.release.arguments());
        let steps = std::fs::read_to_string(self.release.recordings().join(recording)).unwrap();
        let mut symbols = Symbols::new(self);
        let mut outcome = Outcome {
            release: self.release,
            recording: recording.to_owned(),
            matched: 0,
            total: 0,
            report: String::new(),
        };
        for line in steps.lines() {
            let step: Value = serde_json::from_str(line).unwrap();
            outcome.total += 1;
            let name = step["name"].as_str().unwrap();
            let response = symbols.send(&server, &step["request"]);
            let fault = match symbols.compare(&step["expect"], &response) {
                Some(_) if self.is_deviation(name) => None,
                None if self.is_deviation(name) => {
                    Some("answered as recorded: remove it from deviations.json".to_owned())
                }
                fault => fault,
            };
            match fault {
                None => outcome.matched += 1,
                Some(fault) => {
                    let request = &step["request"];
                    let _ = writeln!(
                        outcome.report,
                        "{name}: {fault}\n    {} {}\n    {}",
                        request["method"].as_str().unwrap(),
                        request["target"].as_str().unwrap(),
                        response.text().chars().take(400).collect::<String>()
                    );
                }
            }
            symbols.remember(name, &response);
        }
        let (code, _) = server.stop();
        assert_eq!(code, Some(0), "the server stops as it should");
        (outcome, symbols)
    }
}
