//! Finds out which commit is built, so that `--version` can say it. A build without git, or from a tarball, knows the
//! version alone. A debug build does not look, because every commit would build everything anew.

#![allow(clippy::print_stdout, reason = "cargo reads it")]

use std::path::Path;
use std::process::Command;

/// Names the commit where the build cannot see the repository, as in a container.
const VARIABLE: &str = "CROSSBAR_GROUPS_BUILD_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let named = std::env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    let about = match named {
        Some(commit) => Some(commit),
        None if is_release => commit(),
        None => Some("debug build".to_owned()),
    };
    println!("cargo::rustc-env=SHOWN_COMMIT={}", about.as_deref().unwrap_or("unknown"));
    let about = about.map(|about| format!(" ({about})")).unwrap_or_default();
    println!("cargo::rustc-env=SHOWN_VERSION={version}{about}");
}

/// The commit of this project's own repository. A tarball may lie in the repository of somebody else.
fn commit() -> Option<String> {
    // Not `env!`: with one target directory for two clones, this program may have been compiled in the other one.
    let root = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR")?).join("../..").canonicalize().ok()?;
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != root {
        return None;
    }
    let head = git(&["rev-parse", "--git-path", "HEAD"])?;
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"])
        .and_then(|branch| git(&["rev-parse", "--git-path", &branch]));
    let packed = git(&["rev-parse", "--git-path", "packed-refs"]);
    // The version says whether the sources differ from the commit, so this runs again when they change.
    let sources =
        ["../../crates", "../../couch-views", "../../schemas", "../../Cargo.lock"].map(str::to_owned);
    for path in [Some(head), branch, packed].into_iter().flatten().chain(sources) {
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let is_changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    Some(if is_changed { format!("{commit}, changed") } else { commit })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
