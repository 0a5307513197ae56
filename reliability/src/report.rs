//! The report: one JSON object a line, below `target/reliability/`. A run that is started again skips the
//! rows that are there already for the same binary. It knows nothing of how a row is measured.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, OpenOptions};
use std::hash::Hasher as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::settings::Outcome;

/// The figures of a row, and what is wrong.
pub(crate) type Measured = (Map<String, Value>, Vec<String>);

/// Where rows are kept, and which binary they are about.
pub(crate) struct Report {
    path: PathBuf,
    binary: String,
    rows: Vec<Value>,
    again: bool,
    failures: usize,
}

impl Report {
    /// Opens the report. With `again`, rows that are there are measured once more.
    pub(crate) fn open(folder: &std::path::Path, binary: &str, again: bool) -> Outcome<Self> {
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let path = folder.join("report.jsonl");
        let rows = match File::open(&path) {
            Ok(file) => {
                let lines = BufReader::new(file).lines().map_while(Result::ok);
                // A run that was killed may have left half a line.
                lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
            }
            Err(_) => Vec::new(),
        };
        Ok(Self { path, binary: hash_of(binary)?, rows, again, failures: 0 })
    }

    /// How many rows of this run failed.
    pub(crate) fn failures(&self) -> usize {
        self.failures
    }

    /// Adds rows that another process found to fail.
    pub(crate) fn count_others(&mut self, failures: usize) {
        self.failures += failures;
    }

    /// The hash of the binary.
    pub(crate) fn binary(&self) -> &str {
        &self.binary
    }

    /// A row that an earlier run of this binary has measured, unless rows are measured again.
    pub(crate) fn earlier(&mut self, section: &str, name: &str) -> Option<Value> {
        let found = if self.again { None } else { self.newest(section, name).cloned() }?;
        self.failures += usize::from(found["pass"] != true);
        Some(found)
    }

    fn newest(&self, section: &str, name: &str) -> Option<&Value> {
        let is_wanted = |row: &&Value| {
            row["binary"] == self.binary.as_str() && row["section"] == section && row["name"] == name
        };
        self.rows.iter().rev().find(is_wanted)
    }

    /// The newest rows of a section for this binary, in the order in which they were first measured.
    pub(crate) fn section(&self, section: &str) -> Vec<&Value> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if row["section"] == section && row["binary"] == self.binary.as_str() {
                let name = row["name"].as_str().unwrap_or_default();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names.into_iter().filter_map(|name| self.newest(section, name)).collect()
    }

    /// Adds a row and prints it. `figures` are its measurements; `faults` says what is wrong with them.
    pub(crate) fn add(
        &mut self,
        section: &str,
        name: &str,
        figures: Map<String, Value>,
        faults: &[String],
    ) -> Outcome {
        let pass = faults.is_empty();
        self.failures += usize::from(!pass);
        let mut row = Map::new();
        for (key, value) in [
            ("section", json!(section)),
            ("name", json!(name)),
            ("binary", json!(self.binary)),
            ("pass", json!(pass)),
        ] {
            row.insert(key.to_owned(), value);
        }
        row.extend(figures);
        row.insert("faults".to_owned(), json!(faults));
        let row = Value::Object(row);
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        file.and_then(|mut file| writeln!(file, "{row}"))
            .map_err(|error| format!("cannot write {}: {error}", self.path.display()))?;
        print_row(&row);
        self.rows.push(row);
        Ok(())
    }
}

/// Prints a row as one line, and its faults below.
pub(crate) fn print_row(row: &Value) {
    let figures =
        row.as_object().into_iter().flatten().filter(|(key, _)| {
            !["section", "name", "binary", "pass", "faults", "about"].contains(&key.as_str())
        });
    let figures: Vec<_> = figures.map(|(key, value)| format!("{key} {value}")).collect();
    let verdict = if row["pass"] == true { "ok  " } else { "FAIL" };
    println!("  {verdict} {}: {}", row["name"].as_str().unwrap_or_default(), figures.join(", "));
    for fault in row["faults"].as_array().into_iter().flatten().take(10) {
        println!("         {}", fault.as_str().unwrap_or_default());
    }
}

fn hash_of(binary: &str) -> Outcome<String> {
    let bytes =
        fs::read(binary).map_err(|error| format!("cannot read {binary}: {error}; run `make release`"))?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    Ok(format!("{:016x}", hasher.finish()))
}
