//! Hostile data and hostile places: odd documents through every operation, map
//! functions that misbehave, damaged store files, a full disk, and a clock that jumps.

mod clock;
mod damage;
mod disk;
mod documents;
mod maps;

use serde_json::Map;

use crate::report::{Measured, Report, print_row};
use crate::settings::{Outcome, Settings};

/// How many files are damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Damages(pub(crate) usize);

/// Runs the section.
pub(crate) fn run(settings: &Settings, report: &mut Report, damages: Damages) -> Outcome {
    println!("hostile data and files");
    let parts: [(&str, &dyn Fn() -> Outcome<Measured>); 5] = [
        ("documents", &|| documents::measure(settings)),
        ("map functions", &|| maps::measure(settings)),
        ("damaged files", &|| damage::measure(settings, damages.0)),
        ("full disk", &|| disk::measure(settings)),
        ("clock that jumps", &|| clock::measure(settings)),
    ];
    for (name, measure) in parts {
        if let Some(row) = report.earlier("files", name) {
            print_row(&row);
            continue;
        }
        let (figures, faults) = measure().unwrap_or_else(|error| (Map::new(), vec![error]));
        report.add("files", name, figures, &faults)?;
    }
    Ok(())
}

/// Runs only the part about damaged files.
pub(crate) fn damaged(settings: &Settings, report: &mut Report, damages: Damages) -> Outcome {
    let measured = damage::measure(settings, damages.0);
    let (figures, faults) = measured.unwrap_or_else(|error| (Map::new(), vec![error]));
    report.add("files", "damaged files", figures, &faults)
}
