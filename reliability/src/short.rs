//! The short form, for `make test`: the first inputs of the table made small, the main rows of the faults, a
//! history with a few kills, and a few damaged files. It knows no bounds of its own.

use std::time::Duration;

use serde_json::Map;

use crate::faults::{self, Extent};
use crate::files::{self, Damages};
use crate::history::{self, Length};
use crate::report::Report;
use crate::settings::{Outcome, Settings};
use crate::table::{Form, inputs, measure};

/// How many of the table's first inputs are sent, and how many times smaller they are made.
const INPUTS: usize = 10;
const FORM: Form = Form { divisor: 20, quiet: Duration::from_millis(500) };
/// Not here: its connections are held for longer than the whole short form may take.
const TOO_SLOW: &str = "unread-answers";

/// Runs the short form.
pub(crate) fn run(settings: &Settings, report: &mut Report) -> Outcome {
    println!("the table's first inputs, {} times smaller", FORM.divisor);
    for input in inputs().iter().take(INPUTS).filter(|input| input.name != TOO_SLOW) {
        let (figures, faults) =
            measure(settings, input, FORM).unwrap_or_else(|error| (Map::new(), vec![error]));
        report.add("short", input.name, figures, &faults)?;
    }
    faults::run(settings, report, Extent::Short, &[])?;
    history::run(settings, report, Length { kills: 8, couchdb_kills: 0 })?;
    files::damaged(settings, report, Damages(3))
}
