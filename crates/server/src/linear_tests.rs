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

/// Instructions that an operation may take on top.
const SLACK: u64 = 100_000;

/// callgrind writes down its counts whenever this function is called.
#[inline(never)]
fn mark() {
    black_box(());
}

/// Whether the second difference of the counts is at most 2.3 times the first. It is 2 times for an operation
/// that takes linear time, and 4 times for one that takes the square. Counts that hardly grow are fine too.
fn is_linear([one, two, four]: [u64; 3]) -> bool {
    let first = two.saturating_sub(one);
    four.saturating_sub(two) <= first.saturating_mul(23) / 10 + SLACK || four <= one.saturating_mul(5) / 4
}

#[test]
fn every_operation_takes_linear_time() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "valgrind is not installed; `make test` installs it");
        eprintln!("not tested: valgrind is not installed; `make test` installs it");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("counts");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--dump-before=*linear_tests::mark*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "linear_tests::run_all_operations", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut report = String::new();
    for (place, (name, _, _)) in OPERATIONS.iter().enumerate() {
        let counts = [0, 1, 2].map(|size| count_before_mark(&out, 2 * (FACTORS.len() * place + size + 1)));
        let expected = !name.starts_with("square");
        let verdict = if is_linear(counts) == expected { "" } else { " FAULT" };
        writeln!(report, "{name}: {counts:?}{verdict}").unwrap();
    }
    println!("{report}");
    assert!(!report.contains("FAULT"), "an operation takes more than linear time\n{report}");
}

/// The instructions between a mark, counted from 1, and the one before.
fn count_before_mark(out: &Path, mark: usize) -> u64 {
    let part = std::fs::read_to_string(format!("{}.{mark}", out.display())).unwrap();
    let total = part.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    total.trim().parse().unwrap()
}

#[test]
#[ignore = "`every_operation_takes_linear_time` runs it under callgrind"]
fn run_all_operations() {
    for (_, unit, prepare) in OPERATIONS {
        for factor in FACTORS {
            let work = prepare(unit * factor);
            mark();
            work();
            mark();
        }
    }
}
