//! The results as tables, and the bounds that they are held against.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use bench::median;

use crate::cells::{BY_USER, CEILING, DIRECT, GET_ONE, LIST, PATCH, POST, PUT, SQLITE, TOGETHER};
use crate::measured::Measured;
use crate::plot;
use crate::single::{ACCOUNTS, GROUPS_OF_EACH, MANY, Many, RACE, RACERS, Raced};

/// How a server without a cache is called, behind its store.
pub const CACHE_OFF: &str = ", cache off";

/// The lines of the page between which the results stand.
const BEGIN: &str = "<!-- results: written by the bench -->";
const END: &str = "<!-- end of results -->";

/// All that a run has measured.
pub struct Results {
    pub measured: Vec<Measured>,
    /// By the store.
    pub many: BTreeMap<&'static str, Many>,
    pub raced: BTreeMap<&'static str, Raced>,
    /// Unknown if only some requests were measured.
    pub memory_kb: Option<u64>,
    pub has_cache: bool,
    pub rounds: usize,
    pub duration: Duration,
}

/// What was measured, and what it should be.
struct Verdict {
    what: String,
    value: String,
    bound: String,
    is_good: bool,
}

/// Two rates of the same round as one number, over all rounds.
struct Ratio {
    median: f64,
    least: f64,
    most: f64,
}

impl Ratio {
    fn of(ours: &Measured, limit: &Measured) -> Option<Self> {
        let rounds: Vec<f64> =
            ours.rates.iter().zip(&limit.rates).map(|(ours, limit)| ours / limit).collect();
        let (least, most) =
            (rounds.iter().copied().reduce(f64::min)?, rounds.iter().copied().reduce(f64::max)?);
        Some(Self { median: median(rounds)?, least, most })
    }
}

impl Verdict {
    /// A ratio. The median counts, and the least and the greatest are told.
    fn of_ratio(what: String, ratio: &Ratio, least: f64) -> Self {
        let verdict = Self::at_least(what, ratio.median, least);
        Self { value: format!("{} ({:.2} to {:.2})", verdict.value, ratio.least, ratio.most), ..verdict }
    }

    fn at_least(what: String, value: f64, least: f64) -> Self {
        let (value, bound) = (format!("{value:.2}"), format!("at least {least}"));
        Self { is_good: value.parse::<f64>().is_ok_and(|value| value >= least), what, value, bound }
    }

    fn at_most(what: String, value: f64, most: f64, unit: &str) -> Self {
        let (value_text, bound) = (format!("{value:.0} {unit}"), format!("at most {most:.0} {unit}"));
        Self { what, value: value_text, bound, is_good: value <= most }
    }
}

impl Results {
    fn find(&self, row: &str, column: &str, connections: usize) -> Option<&Measured> {
        let is_wanted =
            |one: &&Measured| one.row == row && one.column == column && one.connections == connections;
        self.measured.iter().find(is_wanted)
    }

    /// The rates of one column as multiples of another one's.
    fn ratio(&self, row: &str, connections: usize, (ours, limit): (&str, &str)) -> Option<Ratio> {
        Ratio::of(self.find(row, ours, connections)?, self.find(row, limit, connections)?)
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        let off = format!("CouchDB{}", if self.has_cache { CACHE_OFF } else { "" });
        let off = off.as_str();
        let mut ratio = |row, connections, (ours, limit): (&str, &str), least| {
            let what = format!("{row}, {connections} connections: {ours} / {limit}");
            let found = self.ratio(row, connections, (ours, limit));
            verdicts.extend(found.map(|ratio| Verdict::of_ratio(what, &ratio, least)));
        };
        for (row, of_ceiling, of_couchdb) in [(GET_ONE, 0.5, 20.0), (LIST, 0.45, 30.0), (BY_USER, 0.45, 30.0)]
        {
            ratio(row, 16, ("embedded", CEILING), of_ceiling);
            ratio(row, 16, ("CouchDB", CEILING), of_ceiling);
            ratio(row, 16, ("CouchDB", DIRECT), of_couchdb);
        }
        for row in [GET_ONE, LIST] {
            ratio(row, 16, (off, DIRECT), 0.9);
            ratio(row, 1, (off, DIRECT), 0.85);
        }
        for connections in [1, 16] {
            ratio(TOGETHER, connections, (off, DIRECT), 0.9);
        }
        for row in [PUT, POST, PATCH] {
            for connections in [1, 16] {
                ratio(row, connections, ("CouchDB", DIRECT), 0.85);
            }
        }
        for (connections, least) in [(1, 0.5), (16, 1.5)] {
            let what = format!("PUT, {connections} connections: embedded / SQLite's commits one by one");
            let found = self.find(PUT, "embedded", connections).zip(self.find(PUT, SQLITE, 1));
            let found = found.and_then(|(ours, limit)| Ratio::of(ours, limit));
            verdicts.extend(found.map(|ratio| Verdict::of_ratio(what, &ratio, least)));
        }
        for (store, raced) in &self.raced {
            let Raced { statuses, kept } = raced;
            let what = format!("{RACERS} clients PATCH one group for {} s, {store}", RACE.as_secs());
            let told: Vec<_> = statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
            verdicts.push(Verdict {
                what,
                value: format!("{}; {kept} last members kept", told.join(", ")),
                bound: format!("no 409; {RACERS} kept"),
                is_good: !statuses.contains_key(&409) && *kept == RACERS,
            });
        }
        for (store, many) in &self.many {
            let mut most = |what: &str, value: f64, most: f64| {
                let what = format!("{MANY} groups, {store}: {what}");
                verdicts.push(Verdict::at_most(what, value, most, "ms"));
            };
            most("one filter, asked again", many.filter_again, 50.0);
            if let Some(view) = many.view_with_documents {
                most("one filter, cold (at most the view with documents)", many.filter, view);
            }
            most("first byte of paginate=false", many.first_byte, 50.0);
            if let Some(view) = many.view {
                let what = format!("{MANY} groups: the view / paginate=false, cold, {store}");
                verdicts.push(Verdict::at_least(what, view / many.all, 0.8));
            }
        }
        let what = format!("memory with {} groups of {ACCOUNTS} accounts read", ACCOUNTS * GROUPS_OF_EACH);
        verdicts.extend(self.memory_kb.map(|kb| Verdict::at_most(what, kb as f64 / 1e3, 96.0, "MB")));
        verdicts
    }

    /// Prints everything. Whether all bounds are held.
    pub fn print(&self) -> bool {
        print!("{}", self.markdown());
        self.verdicts().iter().all(|verdict| verdict.is_good)
    }

    /// Writes the tables into `performance.md` in this folder, and the plot beside it.
    pub fn write(&self, docs: &Path) {
        let path = docs.join("performance.md");
        let page = std::fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = page.split_once(BEGIN).expect("the page says where the results begin");
        let (_, after) = rest.split_once(END).expect("the page says where the results end");
        let page = format!("{before}{BEGIN}\n{}\n{END}{after}", self.markdown());
        std::fs::write(path, page).expect("the page is written");
        std::fs::write(docs.join("performance.svg"), plot::draw(&self.measured))
            .expect("the plot is written");
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "\n{} rounds of {} s for each measurement. {}\n\n| what | measured | bound | |\n| --- | --- | --- | --- |\n",
            self.rounds,
            self.duration.as_secs(),
            if self.has_cache {
                "Without a suffix, the settings are the default ones."
            } else {
                "This server has no cache."
            },
        );
        for Verdict { what, value, bound, is_good } in self.verdicts() {
            let verdict = if is_good { "ok" } else { "MISSED" };
            // Writing into a string never fails.
            let _ = writeln!(text, "| {what} | {value} | {bound} | {verdict} |");
        }
        let mut row = "";
        for one in &self.measured {
            if one.row != row {
                row = one.row;
                let _ = write!(
                    text,
                    "\n**{row}**\n\n| connections | who | answers/s | of the ceiling | of CouchDB | with oha | p50, p99, p99.9 in ms | processor, µs each | memory |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
                );
            }
            let of = |limit| {
                let ratio = self.ratio(row, one.connections, (one.column.as_str(), limit));
                ratio.map_or(String::new(), |ratio| format!("{:.2}", ratio.median))
            };
            let or_nothing = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.0}"));
            let [p50, p99, p999] = one.percentiles;
            let refused = match one.refused * 100.0 {
                percent if percent >= 0.05 => format!(", {percent:.1} % refused"),
                _ => String::new(),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {:.0}{refused} | {} | {} | {} | {p50:.2}, {p99:.2}, {p999:.2} | {} | {} |",
                one.connections,
                one.column,
                one.rate(),
                of(CEILING),
                of(DIRECT),
                or_nothing(one.rate_of_oha),
                or_nothing(one.processor_us),
                one.resident_kb.map_or(String::new(), |kb| format!("{} MB", kb / 1000)),
            );
        }
        text
    }
}
