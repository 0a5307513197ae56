//! Prints each difference as soon as it is seen, as a line or as JSON, and the numbers at the end.

use comparison::{Difference, What};
use serde_json::json;

use super::super::say;
use super::account::{Outcome, Told};
use super::tally::Tally;
use crate::failure::Failure;

/// Prints the report.
pub(super) struct Report {
    is_json: bool,
    /// Whether the values that differ are shown too, and not only where they are.
    shows_values: bool,
    has_told: bool,
}

impl Report {
    pub(super) fn begin(is_json: bool, shows_values: bool) -> Result<Self, Failure> {
        if is_json {
            say("{\"differences\":[")?;
        }
        Ok(Self { is_json, shows_values, has_told: false })
    }

    pub(super) fn note(&mut self, differences: &[Told]) -> Result<(), Failure> {
        differences.iter().try_for_each(|told| self.tell(told))
    }

    fn tell(&mut self, told: &Told) -> Result<(), Failure> {
        let Told { target, what } = told;
        let (place, what) = match what {
            Outcome::Differs(difference) => (difference.place(), self.what(difference)),
            Outcome::NotCompared(why) => ("not compared", why.clone()),
        };
        if !self.is_json {
            return say(&format!("{target}  {place}  {what}"));
        }
        let comma = if self.has_told { "," } else { "" };
        self.has_told = true;
        say(&format!("{comma}{}", json!({"target": target, "place": place, "what": what})))
    }

    fn what(&self, difference: &Difference) -> String {
        match difference.what() {
            What::Missing => "only the other server has it".to_owned(),
            What::Surplus => "only this server has it".to_owned(),
            What::Value { expected, actual } if self.shows_values => {
                format!("the other server answers {expected}, and this one {actual}")
            }
            What::Value { .. } | What::Secret => "it differs".to_owned(),
        }
    }

    /// Prints the numbers. `stopped` says why not all was compared.
    pub(super) fn end(&self, tally: &Tally, stopped: Option<&str>) -> Result<(), Failure> {
        let mut shown = tally.shown();
        if self.is_json {
            if let Some(why) = stopped {
                shown.insert("stopped".to_owned(), json!(why));
            }
            // The numbers follow the list of differences in the same object.
            let numbers = shown.iter().map(|(name, value)| format!(",{}:{value}", json!(name)));
            return say(&format!("]{}}}", numbers.collect::<String>()));
        }
        let Tally { groups, requests, same, differs, unanswered, unsettled, refused, shortened, .. } = tally;
        let accounts = tally.accounts.saturating_sub(*refused);
        say(&format!(
            "{accounts} accounts with {groups} groups were compared by {requests} requests to each server"
        ))?;
        say(&format!("{same} answers are the same, {differs} differ, {unanswered} are missing"))?;
        if *unsettled > 0 {
            say(&format!(
                "{unsettled} answers differ in another place each time, so it is not known whether they are the same"
            ))?;
        }
        if *refused > 0 {
            say(&format!("{refused} accounts were not compared"))?;
        }
        if *shortened > 0 {
            say(&format!(
                "of {shortened} accounts, the groups of 1000 users were compared, and not those of further users"
            ))?;
        }
        for (name, latencies) in [("this server", &tally.here), ("the other server", &tally.there)] {
            if let (Some(p50), Some(p99)) = (latencies.milliseconds(50), latencies.milliseconds(99)) {
                say(&format!("{name} answers in {p50} ms (half of the requests) and {p99} ms (99 of 100)"))?;
            }
        }
        Ok(())
    }
}
