//! Every operation on a client's data takes time in proportion to the data. valgrind's callgrind counts the
//! instructions of each operation on an input, on one twice as large, and on one four times as large. It
//! counts the same, however busy the machine is.
//!
//! The instructions of the functions that ordinary requests run are counted too, and compared with those in
//! `linear_tests/instructions.txt`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

mod hot;
mod operations;

use hot::HOT;
use operations::OPERATIONS;

/// The input of an operation has its unit's size times these.
const FACTORS: [usize; 3] = [1, 2, 4];

/// How many processes count the operations at the same time.
const PARTS: usize = 2;

/// The variable that tells a process which of the parts it counts.
const PART: &str = "LINEAR_TESTS_PART";

/// Instructions that an operation may take on top.
const SLACK: u64 = 100_000;

/// Does the work. callgrind counts only what happens in this function.
#[inline(never)]
fn measured(work: Box<dyn FnOnce()>) {
    work();
    black_box(());
}

/// callgrind writes down its count, and begins again from zero, whenever this function is called.
#[inline(never)]
fn mark() {
    black_box(());
}

/// Whether the second difference of the counts is at most 2.3 times the first, or the last count at most 2.2
/// times the one before. Both are 2 times for an operation that takes linear time, and 4 times for one that
/// takes the square, and both find the same small share of a square. But what the operation before left in the
/// heap makes the first count too large, and an operation may have a fixed cost. Counts that hardly grow are
/// fine too.
fn is_linear([one, two, four]: [u64; 3]) -> bool {
    four.saturating_sub(two) <= two.saturating_sub(one).saturating_mul(23) / 10 + SLACK
        || four <= two.saturating_mul(22) / 10
        || four <= one.saturating_mul(5) / 4
}

/// Whether valgrind is there. In CI it must be.
fn has_valgrind() -> bool {
    let is_there = Command::new("valgrind").arg("--version").output().is_ok();
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "valgrind is not installed; `make test` installs it"
    );
    if !is_there {
        eprintln!("not tested: valgrind is not installed; `make test` installs it");
    }
    is_there
}

#[test]
fn every_operation_takes_linear_time() {
    if !has_valgrind() {
        return;
    }
    let counted: Vec<_> = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..PARTS).map(|part| scope.spawn(move || count_part(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    });
    assert_eq!(counted.len(), OPERATIONS.len());
    let mut report = String::new();
    for (name, counts) in counted {
        let expected = !name.starts_with("square");
        let verdict = if is_linear(counts) == expected { "" } else { " FAULT" };
        writeln!(report, "{name}: {counts:?}{verdict}").unwrap();
    }
    println!("{report}");
    assert!(!report.contains("FAULT"), "an operation takes more than linear time\n{report}");
}

/// Runs the operations of a part under callgrind, and returns what it counted for each size.
fn count_part(part: usize) -> Vec<(&'static str, [u64; 3])> {
    let counts = count("run_operations_of_a_part", part);
    let of_operation = |place| [0, 1, 2].map(|size| counts[FACTORS.len() * place + size]);
    operations_of(part).enumerate().map(|(place, (name, _, _))| (*name, of_operation(place))).collect()
}

/// Runs a test of this file under callgrind, and returns the instructions of each piece of measured work.
fn count(test: &str, part: usize) -> Vec<u64> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("counts");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*linear_tests::measured*"])
        .arg("--dump-before=*linear_tests::mark*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("linear_tests::{test}"), "--ignored", "--test-threads=1"])
        .env(PART, part.to_string())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    (1..).map_while(|number| total(&out, number)).collect()
}

/// The instructions of a piece of work, if there was one with this number.
fn total(out: &Path, number: usize) -> Option<u64> {
    let dump = std::fs::read_to_string(format!("{}.{number}", out.display())).ok()?;
    let total = dump.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    Some(total.trim().parse().unwrap())
}

fn operations_of(part: usize) -> impl Iterator<Item = &'static operations::Operation> {
    OPERATIONS.iter().skip(part).step_by(PARTS)
}

#[test]
#[ignore = "`every_operation_takes_linear_time` runs it under callgrind"]
fn run_operations_of_a_part() {
    let part = std::env::var(PART).unwrap().parse().unwrap();
    for (_, unit, prepare) in operations_of(part) {
        for factor in FACTORS {
            measured(prepare(unit * factor));
            mark();
        }
    }
}

/// The instructions of the functions in [`HOT`], one a line: the count, a space, the name.
const RECORDED: &str = include_str!("linear_tests/instructions.txt");

/// How many percent of its recorded instructions a function may take.
const MOST_PERCENT: u64 = 125;

/// The counts of this build are written to `target/instructions.txt`, beside the recorded ones. If they have
/// changed for a reason, record them: `cp target/instructions.txt crates/server/src/linear_tests/`.
#[test]
fn functions_of_ordinary_requests_take_the_recorded_instructions() {
    if !has_valgrind() {
        return;
    }
    let recorded = |name: &str| {
        let line = RECORDED.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
        line.and_then(|count| count.trim().parse::<u64>().ok())
    };
    let counts = count("run_functions_of_ordinary_requests", 0);
    // What is counted once the last one has ended belongs to no function.
    let (mut now, mut report, mut is_good) = (String::new(), String::new(), true);
    for ((name, _), count) in HOT.iter().zip(counts.iter().copied()) {
        let percent = recorded(name).map(|recorded| count * 100 / recorded.max(1));
        is_good &= percent.is_some_and(|percent| percent <= MOST_PERCENT);
        writeln!(now, "{count:>9} {name}").unwrap();
        let percent =
            percent.map_or("not recorded".to_owned(), |percent| format!("{percent} % of the recorded count"));
        writeln!(report, "{count:>9} {name}: {percent}").unwrap();
    }
    assert!(counts.len() >= HOT.len(), "{report}");
    let executable = std::env::current_exe().unwrap();
    std::fs::write(executable.ancestors().nth(3).unwrap().join("instructions.txt"), now).unwrap();
    println!("{report}");
    assert!(is_good, "a function takes more instructions than recorded, or is not recorded\n{report}");
}

#[test]
#[ignore = "`functions_of_ordinary_requests_take_the_recorded_instructions` runs it under callgrind"]
fn run_functions_of_ordinary_requests() {
    for (_, prepare) in HOT {
        // The first call of a function may prepare what all calls share.
        prepare()();
        measured(prepare());
        mark();
    }
}
