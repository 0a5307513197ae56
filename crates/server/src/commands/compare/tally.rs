//! What was seen so far: how many requests had which outcome, and how long the answers of both servers took. It can
//! be kept in a file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The numbers of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tally {
    pub(super) accounts: u64,
    pub(super) requests: u64,
    pub(super) same: u64,
    pub(super) differs: u64,
    pub(super) unanswered: u64,
    /// Answers that differ in another place each time.
    pub(super) unsettled: u64,
    /// Accounts whose listing both servers refuse alike.
    pub(super) refused: u64,
    /// Accounts with more users in groups than were asked for.
    pub(super) shortened: u64,
    /// Listings of accounts that both servers answered with 200.
    pub(super) listings: u64,
    pub(super) groups: u64,
    pub(super) here: Latencies,
    pub(super) there: Latencies,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.accounts = self.accounts.saturating_add(other.accounts);
        self.requests = self.requests.saturating_add(other.requests);
        self.same = self.same.saturating_add(other.same);
        self.differs = self.differs.saturating_add(other.differs);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.unsettled = self.unsettled.saturating_add(other.unsettled);
        self.refused = self.refused.saturating_add(other.refused);
        self.shortened = self.shortened.saturating_add(other.shortened);
        self.listings = self.listings.saturating_add(other.listings);
        self.groups = self.groups.saturating_add(other.groups);
        self.here.add(&other.here);
        self.there.add(&other.there);
    }

    /// Fails unless every account was compared, and every answer is the same.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let Self { differs, unanswered, unsettled, refused, listings, accounts, .. } = self;
        let reasons = [
            (*differs, match differs {
                1 => "1 answer differs".to_owned(),
                _ => format!("{differs} answers differ"),
            }),
            (*unanswered, format!("{unanswered} requests were not answered by both servers")),
            (*unsettled, format!("{unsettled} answers differ in another place each time: compare again when fewer people write")),
            (*refused, match refused == accounts {
                true => "nothing was compared, because both servers refuse every account: use the token of a user of \
                         the master account, or that account's API key"
                    .to_owned(),
                false => format!(
                    "{refused} of {accounts} accounts were not compared, because both servers refuse them: use the \
                     token of a user of the master account, or name the other accounts with --account"
                ),
            }),
        ];
        let reasons = reasons.into_iter().filter(|(count, _)| *count > 0);
        let reasons: Vec<_> = reasons.map(|(_, reason)| reason).collect();
        match (reasons.is_empty(), listings) {
            (true, 0) => Err(Failure::run("nothing was compared: there were no accounts to compare")),
            (true, _) => Ok(()),
            (false, _) => Err(Failure::run(reasons.join("; "))),
        }
    }

    /// The numbers as JSON.
    pub(super) fn shown(&self) -> Map<String, Value> {
        let latencies = |of: &Latencies| json!({"p50": of.milliseconds(50), "p99": of.milliseconds(99)});
        let numbers = [
            ("accounts", json!(self.accounts)),
            ("groups", json!(self.groups)),
            ("requests", json!(self.requests)),
            ("same", json!(self.same)),
            ("differs", json!(self.differs)),
            ("unanswered", json!(self.unanswered)),
            ("unsettled", json!(self.unsettled)),
            ("refused_accounts", json!(self.refused)),
            ("shortened_accounts", json!(self.shortened)),
            ("latency_ms", json!({"server": latencies(&self.here), "against": latencies(&self.there)})),
        ];
        numbers.into_iter().map(|(name, number)| (name.to_owned(), number)).collect()
    }
}

/// How many answers took how long. The parts of a second double, each in 32 steps, so a time is known to 3 %.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Latencies(BTreeMap<u32, u64>);

/// The steps between two powers of two, as a power of two.
const STEPS: u32 = 5;

impl Latencies {
    pub(super) fn note(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let count = self.0.entry(step(micros)).or_default();
        *count = count.saturating_add(1);
    }

    fn add(&mut self, other: &Self) {
        for (step, more) in &other.0 {
            let count = self.0.entry(*step).or_default();
            *count = count.saturating_add(*more);
        }
    }

    /// The given percentile, in milliseconds with three digits. `None` without answers.
    pub(super) fn milliseconds(&self, percent: u64) -> Option<String> {
        let all: u64 = self.0.values().sum();
        let wanted = all.saturating_mul(percent).div_ceil(100);
        let mut seen = 0_u64;
        let found = self.0.iter().find(|(_, count)| {
            seen = seen.saturating_add(**count);
            seen >= wanted
        });
        let micros = most_in(*found?.0);
        Some(format!("{}.{:03}", micros / 1_000, micros % 1_000))
    }
}

/// The step of a time in microseconds.
fn step(micros: u64) -> u32 {
    let doublings = micros.max(1).ilog2();
    let Some(shift) = doublings.checked_sub(STEPS) else {
        return u32::try_from(micros).unwrap_or_default();
    };
    // Between 2^STEPS and twice that.
    let within = u32::try_from(micros >> shift).unwrap_or_default();
    (shift << STEPS).saturating_add(within)
}

/// The longest time of a step, in microseconds.
fn most_in(step: u32) -> u64 {
    let first = 1_u32 << STEPS;
    if step < first {
        return u64::from(step);
    }
    let shift = (step >> STEPS).saturating_sub(1);
    let within = u64::from(step.saturating_sub(shift << STEPS)).saturating_add(1);
    within.checked_shl(shift).unwrap_or(u64::MAX).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{any, prop_assert, proptest};

    use super::{Latencies, Tally, most_in, step};

    proptest! {
        #[test]
        fn a_time_is_known_to_three_percent(micros in any::<u64>(), shift in 0_u32..64) {
            let micros = (micros >> shift).min(u64::MAX / 4);
            let most = most_in(step(micros));
            prop_assert!(most >= micros && most - micros <= micros / 32, "{} {}", micros, most);
        }
    }

    #[test]
    fn percentiles_are_those_of_all_answers() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.milliseconds(50), None);
        for _ in 0..98 {
            latencies.note(Duration::from_micros(16));
        }
        let mut slow = Latencies::default();
        slow.note(Duration::from_secs(1));
        slow.note(Duration::from_secs(1));
        latencies.add(&slow);
        assert_eq!(latencies.milliseconds(50).as_deref(), Some("0.016"));
        let p99: f64 = latencies.milliseconds(99).unwrap().parse().unwrap();
        assert!((1_000.0..1_032.0).contains(&p99), "{p99}");
    }

    #[test]
    fn only_equal_answers_of_every_account_are_a_success() {
        let good = Tally { accounts: 3, listings: 3, same: 9, ..Tally::default() };
        assert!(good.verdict().is_ok());
        let check = |tally: Tally, all_words: &[&str]| {
            let told = tally.verdict().unwrap_err().to_string();
            assert!(all_words.iter().all(|words| told.contains(words)), "{told}");
        };
        check(Tally { differs: 1, ..good.clone() }, &["1 answer differs"]);
        check(
            Tally { differs: 2, unanswered: 1, ..good.clone() },
            &["2 answers differ; 1 requests were not answered"],
        );
        check(Tally { unanswered: 1, ..good.clone() }, &["1 requests were not answered"]);
        check(Tally { unsettled: 1, ..good.clone() }, &["in another place each time"]);
        check(Tally { refused: 1, listings: 2, ..good.clone() }, &["1 of 3 accounts were not compared"]);
        check(Tally { refused: 3, listings: 0, ..good.clone() }, &["nothing was compared", "master account"]);
        check(Tally { accounts: 0, listings: 0, same: 0, ..good }, &["nothing was compared"]);
    }
}
