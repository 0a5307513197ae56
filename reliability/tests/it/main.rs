//! The command line of the judge. What it judges is in `make reliability`.

use std::process::Command;

#[test]
fn what_it_does_not_know_is_refused_with_the_usage() {
    for arguments in [&[][..], &["--again"], &["everything"]] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_reliability"))
            .args(arguments)
            .env("CROSSBAR_GROUPS_BINARY", env!("CARGO_BIN_EXE_reliability"))
            .env("RELIABILITY_FOLDER", folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains("usage: reliability [--again] SECTION"), "{arguments:?}: {errors}");
    }
}
