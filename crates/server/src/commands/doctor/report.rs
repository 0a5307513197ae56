//! Prints each finding as soon as it is made, as a line of a table or as JSON, and at the end the facts.

use std::collections::BTreeMap;

use kazoo::AccountId;
use serde_json::json;

use super::super::say;
use super::checks::CHECKS;
use super::finding::Finding;
use crate::failure::Failure;

/// How many different facts are kept.
const MOST_FACTS: usize = 1_000;

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
}

/// The findings so far, of which only the number is kept, and the facts.
pub(super) struct Report {
    is_json: bool,
    findings: u64,
    accounts: u64,
    groups: u64,
    /// Which release of Kazoo the store belongs to, in words.
    release: Option<String>,
    /// How many databases have each fact.
    facts: BTreeMap<(&'static str, String), u64>,
}

impl Report {
    pub(super) fn begin(form: Form) -> Result<Self, Failure> {
        let is_json = form == Form::Json;
        if is_json {
            say("{\"findings\":[")?;
        }
        Ok(Self { is_json, findings: 0, accounts: 0, groups: 0, release: None, facts: BTreeMap::new() })
    }

    pub(super) fn count(&self) -> u64 {
        self.findings
    }

    /// Which release of Kazoo the store belongs to.
    pub(super) fn set_release(&mut self, words: String) {
        self.release = Some(words);
    }

    pub(super) fn count_account(&mut self) {
        self.accounts += 1;
    }

    pub(super) fn count_group(&mut self) {
        self.groups += 1;
    }

    /// Tells what a check has found.
    pub(super) fn note(
        &mut self,
        check: &str,
        account: Option<&AccountId>,
        findings: Vec<Finding>,
    ) -> Result<(), Failure> {
        for Finding { document, what, todo } in findings {
            self.findings += 1;
            let account = account.map(AccountId::as_str);
            let line = if self.is_json {
                let comma = if self.findings > 1 { "," } else { "" };
                let finding = json!({"check": check, "account": account, "document": document, "what": what, "todo": todo});
                format!("{comma}{finding}")
            } else {
                let (account, document) = (account.unwrap_or("-"), document.as_deref().unwrap_or("-"));
                format!("{check:12}  {account:32}  {document:32}  {what}. To do: {todo}")
            };
            say(&line)?;
        }
        Ok(())
    }

    /// Takes note of what a check has seen in one database.
    pub(super) fn note_facts(&mut self, check: &'static str, facts: Vec<String>) {
        for fact in facts {
            if self.facts.len() < MOST_FACTS || self.facts.contains_key(&(check, fact.clone())) {
                *self.facts.entry((check, fact)).or_default() += 1;
            }
        }
    }

    /// Tells the numbers. Findings are a failure.
    pub(super) fn end(self) -> Result<(), Failure> {
        let Self { is_json, findings, accounts, groups, release, facts } = self;
        if is_json {
            let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
            let facts = facts.iter().map(
                |((check, what), databases)| json!({"check": check, "what": what, "databases": databases}),
            );
            let (checks, release, facts) = (json!(names), json!(release), json!(facts.collect::<Vec<_>>()));
            say(&format!(
                "],\"accounts\":{accounts},\"groups\":{groups},\"release\":{release},\"facts\":{facts},\"checks\":{checks}}}"
            ))?;
        } else {
            if let Some(release) = release {
                say(&format!("the release of Kazoo: {release}"))?;
            }
            for ((check, what), databases) in facts {
                say(&format!("{check}: {what} (databases: {databases})"))?;
            }
            say(&format!("{accounts} accounts with {groups} groups were examined"))?;
        }
        match findings {
            0 => Ok(()),
            1 => Err(Failure::run("1 thing is wrong")),
            _ => Err(Failure::run(format!("{findings} things are wrong"))),
        }
    }
}
