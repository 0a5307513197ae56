//! Every operation on a client's data takes time in proportion to the data. valgrind's callgrind counts the
//! instructions of each operation on an input, on one twice as large, and on one four times as large. It
//! counts the same, however busy the machine is.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

mod operations;

use operations::OPERATIONS;

/// The input of an operation has its unit's size times these.
const FACTORS: [usize; 3] = [1, 2, 4];

/// The operations are counted in so many processes at the same time.
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

#[test]
fn every_operation_takes_linear_time() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "valgrind is not installed; `make test` installs it");
        eprintln!("not tested: valgrind is not installed; `make test` installs it");
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
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("counts");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*linear_tests::measured*"])
        .arg("--dump-before=*linear_tests::mark*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "linear_tests::run_operations_of_a_part", "--ignored", "--test-threads=1"])
        .env(PART, part.to_string())
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let counts = |place| [0, 1, 2].map(|size| count(&out, FACTORS.len() * place + size));
    operations_of(part).enumerate().map(|(place, (name, _, _))| (*name, counts(place))).collect()
}

fn operations_of(part: usize) -> impl Iterator<Item = &'static operations::Operation> {
    OPERATIONS.iter().skip(part).step_by(PARTS)
}

/// The instructions of a piece of work. The first one has the number 0.
fn count(out: &Path, number: usize) -> u64 {
    let part = std::fs::read_to_string(format!("{}.{}", out.display(), number + 1)).unwrap();
    let total = part.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    total.trim().parse().unwrap()
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
