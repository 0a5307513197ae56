//! Made-up histories: good ones pass, and each kind of violation is found.

use super::{Asked, Event, Told, check};

fn event(begun: u64, ended: u64, asked: Asked, told: Told) -> Event {
    Event { begun, ended, asked, told }
}

fn write(begun: u64, ended: u64, content: &str, told: Told) -> Event {
    event(begun, ended, Asked::Write(content.to_owned()), told)
}

fn delete(begun: u64, ended: u64, told: Told) -> Event {
    event(begun, ended, Asked::Delete, told)
}

fn seen(begun: u64, ended: u64, content: &str, generation: u64) -> Event {
    event(begun, ended, Asked::Read, Told::Seen(content.to_owned(), Some(generation)))
}

fn listed(begun: u64, ended: u64, content: &str) -> Event {
    event(begun, ended, Asked::Read, Told::Seen(content.to_owned(), None))
}

fn absent(begun: u64, ended: u64) -> Event {
    event(begun, ended, Asked::Read, Told::Absent)
}

#[track_caller]
fn good(events: &[Event]) {
    let found = check(events);
    assert!(found.is_empty(), "{found:?}");
}

#[track_caller]
fn bad(kind: &str, events: &[Event]) {
    let found = check(events);
    assert!(found.iter().any(|what| what.starts_with(kind)), "{kind} is not in {found:?}");
}

#[test]
fn what_can_happen_is_good() {
    good(&[]);
    good(&[
        absent(0, 1),
        write(2, 3, "a", Told::Done(1)),
        seen(4, 5, "a", 1),
        listed(4, 5, "a"),
        write(6, 7, "b", Told::Done(2)),
        delete(8, 9, Told::Done(3)),
        absent(10, 11),
        write(12, 13, "c", Told::Done(4)),
        seen(14, 15, "c", 4),
    ]);
    // A refused write is never seen.
    good(&[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Refused), seen(4, 5, "a", 1)]);
    // During a write, both contents can be seen, also by a listing, and by readers in any order.
    good(&[
        write(0, 1, "a", Told::Done(1)),
        write(10, 20, "b", Told::Done(2)),
        seen(11, 12, "a", 1),
        seen(13, 14, "b", 2),
        listed(11, 19, "a"),
        seen(11, 15, "b", 2),
    ]);
}

#[test]
fn an_unknown_write_may_be_done_later_or_never() {
    let unknown =
        |told: Event| good(&[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Unknown), told]);
    unknown(seen(10, 11, "a", 1));
    unknown(seen(10, 11, "b", 2));
    unknown(listed(10, 11, "b"));
    unknown(write(10, 11, "c", Told::Done(2)));
    unknown(write(10, 11, "c", Told::Done(3)));
    good(&[write(0, 1, "a", Told::Done(1)), delete(2, 3, Told::Unknown), absent(10, 11)]);
    good(&[
        write(0, 1, "a", Told::Done(1)),
        delete(2, 3, Told::Unknown),
        absent(10, 11),
        write(12, 13, "b", Told::Done(3)),
        seen(14, 15, "b", 3),
    ]);
}

#[test]
fn a_lost_write_is_found() {
    bad("lost write", &[write(0, 1, "a", Told::Done(1)), absent(2, 3)]);
    bad(
        "lost write",
        &[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Done(2)), seen(4, 5, "a", 1)],
    );
    bad("lost write", &[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Done(2)), listed(4, 5, "a")]);
    // Two writes on the same base: one of them is gone.
    bad("lost write", &[write(0, 1, "a", Told::Done(1)), write(0, 2, "b", Told::Done(1))]);
    // A later write that ignores an earlier one.
    bad("lost write", &[write(0, 1, "a", Told::Done(2)), write(2, 3, "b", Told::Done(1))]);
    // A deletion that is forgotten.
    bad("lost write", &[write(0, 1, "a", Told::Done(1)), delete(2, 3, Told::Done(2)), seen(4, 5, "a", 1)]);
    // A group that a listing leaves out, though no deletion can have happened yet.
    bad("lost write", &[write(0, 1, "a", Told::Done(1)), absent(2, 3), delete(4, 5, Told::Done(2))]);
}

#[test]
fn a_reader_who_goes_back_is_found() {
    bad(
        "went back",
        &[
            write(0, 1, "a", Told::Done(1)),
            write(2, 30, "b", Told::Done(2)),
            seen(4, 5, "b", 2),
            seen(6, 7, "a", 1),
        ],
    );
    bad("went back", &[write(0, 1, "a", Told::Unknown), seen(4, 5, "a", 1), absent(6, 7)]);
    bad(
        "went back",
        &[
            write(0, 1, "a", Told::Done(1)),
            write(2, 30, "b", Told::Done(2)),
            listed(4, 5, "b"),
            listed(6, 7, "a"),
        ],
    );
}

#[test]
fn a_write_that_is_done_twice_is_found() {
    bad("done twice", &[write(0, 1, "a", Told::Done(1)), seen(2, 3, "a", 2)]);
    bad("done twice", &[write(0, 1, "a", Told::Unknown), seen(2, 3, "a", 1), seen(4, 5, "a", 2)]);
    bad("done twice", &[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Done(3))]);
    bad(
        "done twice",
        &[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Unknown), write(4, 5, "c", Told::Done(4))],
    );
}

#[test]
fn a_refused_write_that_is_done_is_found() {
    bad(
        "refused and done",
        &[write(0, 1, "a", Told::Done(1)), write(2, 3, "b", Told::Refused), seen(4, 5, "b", 2)],
    );
    bad("refused and done", &[write(0, 1, "a", Told::Refused), listed(2, 3, "a")]);
}

#[test]
fn contents_that_cannot_be_are_found() {
    bad("made up", &[seen(0, 1, "a", 1)]);
    bad("made up", &[write(0, 1, "a", Told::Done(1)), listed(2, 3, "b")]);
    bad("too early", &[seen(0, 1, "a", 1), write(2, 3, "a", Told::Done(1))]);
    bad(
        "two contents",
        &[write(0, 1, "a", Told::Done(1)), write(0, 9, "b", Told::Unknown), seen(2, 3, "b", 1)],
    );
}
