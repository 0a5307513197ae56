//! Prints each difference as soon as it is seen, as a line or as JSON, and the numbers at the end.

use comparison::What;
use serde_json::json;

use super::super::say;
use super::account::Told;
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
        let place = told.difference.as_ref().map_or("no answer", |difference| difference.place());
        let what = told.why.clone().unwrap_or_else(|| self.what(told));
        let target = &told.target;
        if !self.is_json {
            return say(&format!("{target}  {place}  {what}"));
        }
        let comma = if self.has_told { "," } else { "" };
        self.has_told = true;
        say(&format!("{comma}{}", json!({"target": target, "place": place, "what": what})))
    }

    fn what(&self, told: &Told) -> String {
        let what = told.difference.as_ref().map(|difference| difference.what());
        match what {
            Some(What::Missing) => "only the other server has it".to_owned(),
            Some(What::Surplus) => "only this server has it".to_owned(),
            Some(What::Value { expected, actual }) if self.shows_values => {
                format!("the other server answers {expected}, and this one {actual}")
            }
            _ => "it differs".to_owned(),
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
        let Tally { accounts, groups, requests, same, differs, unanswered, .. } = tally;
        say(&format!(
            "{accounts} accounts with {groups} groups were compared by {requests} requests to each server"
        ))?;
        say(&format!("{same} answers are the same, {differs} differ, {unanswered} are missing"))?;
        for (name, latencies) in [("this server", &tally.here), ("the other server", &tally.there)] {
            if let (Some(p50), Some(p99)) = (latencies.milliseconds(50), latencies.milliseconds(99)) {
                say(&format!("{name} answers in {p50} ms (half of the requests) and {p99} ms (99 of 100)"))?;
            }
        }
        Ok(())
    }
}
