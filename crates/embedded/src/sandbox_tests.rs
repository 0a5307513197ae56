//! Tests of the sandbox.

use super::{Emitted, Limits, MapFailure, Sandbox, without_lone_surrogates};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn limits() -> Limits {
    Limits {
        time: Duration::from_millis(200),
        memory_bytes: 16 << 20,
        emitted_bytes: 8 << 20,
        stack_bytes: 256 << 10,
        closing: Arc::default(),
    }
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn run(source: &str, doc: &str) -> Result<Vec<Emitted>, MapFailure> {
    Sandbox::compile(source, &limits(), later())?.map(doc, 1, later())
}

#[track_caller]
fn check(source: &str, doc: &str, rows: &[(&str, &str)]) {
    let got = run(source, doc).unwrap();
    let got: Vec<_> = got.iter().map(|row| (row.key.as_str(), &*row.value)).collect();
    assert_eq!(got, rows);
}

#[test]
fn maps_emit() {
    check(
        "function (doc) { emit(doc._id, {n: doc.n}); }",
        r#"{"_id":"a","n":1.5}"#,
        &[("\"a\"", r#"{"n":1.5}"#)],
    );
    check("function (doc) { }", "{}", &[]);
    check("// said before\nfunction (doc) { emit(); } // and after", "{}", &[("null", "null")]);
    check("doc => emit(emit, undefined)", "{}", &[("null", "null")]);
}

#[test]
fn rows_with_equal_values_share_one_text() {
    let source = "function (doc) {
        for (var i = 0; i < 6; i++) { emit(i, i % 3 ? {n: 1} : [i]); }
    }";
    let rows = run(source, "{}").unwrap();
    let is_shared = |one: usize, other: usize| Arc::ptr_eq(&rows[one].value, &rows[other].value);
    for (one, other) in [(1, 2), (1, 4), (4, 5)] {
        assert!(is_shared(one, other), "{one} {other}");
    }
    assert!(!is_shared(0, 3));
}

#[test]
fn a_map_cannot_corrupt_its_output_by_changing_builtins() {
    let source = "(function () {
        JSON.stringify = function () { return 'nonsense'; };
        Array.prototype.push = String.prototype.toString = null;
        return function (doc) { emit([1], 'x\\ny'); };
    })()";
    check(source, "{}", &[("[1]", r#""x\ny""#)]);
}

#[test]
fn half_characters_become_replacement_characters() {
    let source = r#"function (doc) { emit(doc.t.charAt(0), ["\\ud83d", doc.t]); }"#;
    check(source, r#"{"t":"😀"}"#, &[(r#""\ufffd""#, r#"["\\ud83d","😀"]"#)]);
    for untouched in [r#""a\"\\ud800\n""#, r#""\ud7ff\u0001""#, "\"\\"] {
        assert_eq!(without_lone_surrogates(untouched.to_owned()), untouched);
    }
}

#[test]
fn a_map_that_throws_emits_no_rows_and_can_run_again() {
    let source = "function (doc) { emit(1, 1); if (doc.bad) { throw new Error('no'); } }";
    let mut sandbox = Sandbox::compile(source, &limits(), later()).unwrap();
    assert!(matches!(sandbox.map(r#"{"bad":1}"#, 1, later()), Err(MapFailure::Threw(m)) if m.contains("no")));
    assert_eq!(sandbox.map("{}", 1, later()).unwrap().len(), 1);
}

#[test]
fn a_source_that_is_not_a_function_does_not_compile() {
    for source in ["function (doc) { emit(", "1 + 1", "", "nonsense(", "({})", "throw 1"] {
        assert!(matches!(run(source, "{}"), Err(MapFailure::Threw(_))), "{source}");
    }
}

#[track_caller]
fn check_limit(source: &str, time: Duration, words: &str) {
    let limits = Limits { time, ..limits() };
    match Sandbox::compile(source, &limits, later()).and_then(|mut map| map.map("{}", 1, later())) {
        Err(MapFailure::Limit(message)) => assert!(message.contains(words), "{source}: {message}"),
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn time_is_limited() {
    let time = Duration::from_millis(100);
    for source in [
        "function (doc) { while (true) {} }",
        "function (doc) { while (true) { try { while (true) {} } catch (e) {} } }",
        "function (doc) { /(a+)+$/.test(new Array(64).join('a') + 'b'); while (true) {} }",
        "(function () { while (true) {} })()",
    ] {
        check_limit(source, time, "longer");
    }
}

#[test]
fn memory_and_output_are_limited() {
    let time = Duration::from_secs(60);
    for (source, words) in [
        ("function (doc) { var a = []; while (true) { a.push({a: a.length}); } }", "memory"),
        ("function (doc) { var a = []; while (true) { a.push('x'.repeat(99999)); } }", "memory"),
        ("function (doc) { while (true) { emit('xxxxxxxxxxxxxxxx', null); } }", "emitted"),
    ] {
        check_limit(source, time, words);
    }
}

#[test]
fn a_full_stack_is_an_exception() {
    let source = "function (doc) { var f = function () { return f() + 1; }; if (doc.bad) { f(); } emit(1); }";
    let mut sandbox = Sandbox::compile(source, &limits(), later()).unwrap();
    let thrown = sandbox.map(r#"{"bad":true}"#, 1, later());
    assert!(matches!(&thrown, Err(MapFailure::Threw(why)) if why.contains("stack")), "{thrown:?}");
    assert_eq!(sandbox.map("{}", 1, later()).unwrap().len(), 1);
}

#[test]
fn a_deadline_ends_a_map_before_its_limit() {
    let soon = Instant::now() + Duration::from_millis(20);
    let mut sandbox = Sandbox::compile("doc => { while (true) {} }", &limits(), later()).unwrap();
    assert_eq!(sandbox.map("{}", 1, soon), Err(MapFailure::Deadline));
}

#[test]
fn maps_see_only_the_language() {
    let source = "function (doc) {
        emit(null, [typeof require, typeof process, typeof std, typeof os, typeof console,
            typeof print, typeof setTimeout, typeof fetch, typeof load]);
    }";
    let nothing = "\"undefined\",".repeat(9);
    check(source, "{}", &[("null", &format!("[{}]", nothing.trim_end_matches(',')))]);
}
