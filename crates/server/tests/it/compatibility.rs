//! `docs/compatibility.md` against the tests it names: every row names a test or a recorded step that
//! is there, or says why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::seed::folder;

/// How a row says that nothing pins it; its reason follows.
const UNPINNED: &str = "none: ";

#[test]
fn every_row_names_a_test_that_exists() {
    let crates = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let text = std::fs::read_to_string(crates.join("../docs/compatibility.md")).expect("the table is there");
    let mut known =
        Known { crates, deviations: deviations(), recordings: BTreeMap::new(), sources: BTreeMap::new() };
    let faults: Vec<_> = rows(&text).flat_map(|(line, row)| known.faults(line, row)).collect();
    assert!(faults.is_empty(), "docs/compatibility.md\n{}", faults.join("\n"));
    let count = rows(&text).count();
    assert!(count > 100, "the table has {count} rows only");
}

#[test]
fn every_deviation_of_the_recordings_is_in_the_table() {
    let table = std::fs::read_to_string(folder().join("../docs/compatibility.md")).unwrap();
    let deviations = deviations();
    let missing: Vec<_> = deviations.keys().filter(|name| !table.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "sent but not compared, and not in the table: {missing:?}");
}

/// A deviation is the name of a recorded step, `stored.NAME` for a member that a save of a group writes, or
/// `header.NAME` for a header of answers. A name that begins with a release, as `5.0.NAME` does, holds for the
/// recordings of that release alone. The replay fails if such a step is answered as recorded.
#[test]
fn every_deviation_names_a_step_a_stored_member_or_a_header() {
    let recordings = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut steps = BTreeSet::new();
    for recording in recordings.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
    {
        steps.extend(steps_of(&std::fs::read_to_string(recording).unwrap()));
    }
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../groups/src/document.rs");
    let document = std::fs::read_to_string(document).unwrap();
    let (code, _tests) = document.split_once("#[cfg(test)]").unwrap();
    let headers = concat!(env!("CARGO_MANIFEST_DIR"), "/src/answer/headers.rs");
    let headers = std::fs::read_to_string(headers).unwrap();
    let is_known = |name: &str| match name.split_once('.') {
        Some(("stored", member)) => code.contains(&format!("\"{member}\"")),
        Some(("header", name)) => {
            headers.contains(&format!("header::{}", name.to_ascii_uppercase().replace('-', "_")))
        }
        _ => steps.contains(name.strip_prefix("5.0.").unwrap_or(name)),
    };
    let unknown: Vec<_> = deviations().into_keys().filter(|name| !is_known(name)).collect();
    assert!(unknown.is_empty(), "conformance/deviations.json has entries that nothing uses: {unknown:?}");
}

/// The names of the steps of a recording.
fn steps_of(recording: &str) -> impl Iterator<Item = String> {
    let steps = recording.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    steps.map(|step| step["name"].as_str().unwrap().to_owned())
}

fn deviations() -> BTreeMap<String, String> {
    serde_json::from_str(&std::fs::read_to_string(folder().join("deviations.json")).unwrap()).unwrap()
}

/// The rows of the table that are about a behaviour, with their line numbers: five cells, the last
/// of which pins it. Rows that head a section have nothing but their first cell.
fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| line.starts_with('|'));
    let rows = lines.map(|(number, line)| (number, cells(line)));
    rows.skip(2).filter(|(_, cells)| cells.iter().skip(1).any(|cell| !cell.is_empty()))
}

/// A bar inside code is written `\|`.
fn cells(line: &str) -> Vec<&str> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    let mut cells = Vec::new();
    let mut begin = 0;
    for (place, _) in inner.match_indices('|') {
        if !inner[..place].ends_with('\\') {
            cells.push(inner[begin..place].trim());
            begin = place + 1;
        }
    }
    cells.push(inner[begin..].trim());
    cells
}

struct Known {
    crates: PathBuf,
    /// Steps that are sent but not compared: they pin nothing.
    deviations: BTreeMap<String, String>,
    recordings: BTreeMap<String, BTreeSet<String>>,
    sources: BTreeMap<String, Vec<(PathBuf, String)>>,
}

impl Known {
    fn faults(&mut self, line: usize, cells: Vec<&str>) -> Vec<String> {
        let [_, _, better, of_4_3, pins] = cells.as_slice() else {
            return vec![format!("line {line}: {} cells instead of 5", cells.len())];
        };
        let mut faults = Vec::new();
        if !better.starts_with("same") && !better.starts_with("better") && !better.starts_with("differs") {
            faults.push(format!("line {line}: same, better or differs? {better:?}"));
        }
        // What differs with another profile is pinned on its own.
        let pins_4_3 = ["4.3/", "4_3", "decoder_fault"].iter().any(|words| pins.contains(words));
        if of_4_3.is_empty() || (*of_4_3 != "same" && !pins_4_3) {
            faults.push(format!("line {line}: {of_4_3:?} with the profile 4.3, and nothing pins it"));
        }
        if pins.strip_prefix(UNPINNED).is_some_and(|reason| reason.len() > 9) {
            return faults;
        }
        let named: Vec<_> = pins.split(';').map(str::trim).collect();
        for pin in named {
            if let Err(fault) = self.check(pin) {
                faults.push(format!("line {line}: {fault}"));
            }
        }
        faults
    }

    /// A pin is `conformance/FILE: STEP, STEP` or the path of a test, in code quotes.
    fn check(&mut self, pin: &str) -> Result<(), String> {
        let code = pin.strip_prefix('`').and_then(|pin| pin.strip_suffix('`'));
        let code = code.ok_or_else(|| format!("{pin:?} is no pin"))?;
        match code.strip_prefix("conformance/") {
            Some(steps) => self.check_steps(steps),
            None => self.check_test(code),
        }
    }

    fn check_steps(&mut self, steps: &str) -> Result<(), String> {
        let (file, names) = steps.split_once(": ").ok_or_else(|| format!("{steps:?} names no step"))?;
        if !self.recordings.contains_key(file) {
            let text =
                std::fs::read_to_string(folder().join(file)).map_err(|_| format!("no recording {file}"))?;
            let is_of_5_0 = !file.starts_with("4.3/");
            let deviates = |name: &str| {
                let in_5_0 = is_of_5_0 && self.deviations.contains_key(&format!("5.0.{name}"));
                in_5_0 || self.deviations.contains_key(name)
            };
            let steps = steps_of(&text).filter(|name| !deviates(name)).collect();
            self.recordings.insert(file.to_owned(), steps);
        }
        let known = &self.recordings[file];
        match names.split(", ").find(|name| !known.contains(*name)) {
            Some(name) => Err(format!("{file} has no step {name:?} that is compared")),
            None => Ok(()),
        }
    }

    /// `crate::module::name`: a function of that name in a file of the crate that the module names.
    fn check_test(&mut self, path: &str) -> Result<(), String> {
        let parts: Vec<_> = path.split("::").collect();
        let [package, modules @ .., name] = parts.as_slice() else {
            return Err(format!("{path:?} is no path of a test"));
        };
        let folder = self.crates.join(package);
        let sources = self.sources.entry((*package).to_owned()).or_insert_with(|| sources_below(&folder));
        let wanted: Vec<_> = modules.iter().filter(|module| !["it", "tests"].contains(module)).collect();
        let is_there = sources.iter().any(|(file, text)| {
            let file = file.to_string_lossy();
            text.contains(&format!("fn {name}("))
                && wanted.iter().all(|module| file.contains(&format!("/{module}")))
        });
        if is_there { Ok(()) } else { Err(format!("there is no test {path}")) }
    }
}

fn sources_below(folder: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map_while(Result::ok).map(|entry| entry.path());
    paths
        .flat_map(|path| match path.extension() {
            None => sources_below(&path),
            Some(extension) if extension == "rs" => {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                vec![(path, text)]
            }
            Some(_) => Vec::new(),
        })
        .collect()
}
