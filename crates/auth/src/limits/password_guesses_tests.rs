use std::net::IpAddr;
use std::time::{Duration, Instant};

use kazoo::AccountId;

use super::{Password, PasswordGuesses, UNKNOWN_BUCKETS};

fn account(name: char) -> AccountId {
    AccountId::parse(&name.to_string().repeat(32)).unwrap()
}

fn address(number: u32) -> Option<IpAddr> {
    Some(IpAddr::from(number.to_be_bytes()))
}

/// An account with a number of wrong passwords, each from another address.
fn guessed(guesses: &PasswordGuesses, account: &AccountId, wrong: u32, now: Instant) -> usize {
    let judged = (1_000..1_000 + wrong).map(|n| guesses.judge(account, address(n), Password::Wrong, now));
    judged.filter(Result::is_ok).count()
}

#[test]
fn an_account_takes_so_many_wrong_passwords_from_all_addresses_together() {
    let begin = Instant::now();
    let guesses = PasswordGuesses::new(begin);
    let a = account('a');
    assert_eq!(guessed(&guesses, &a, 150, begin), 100);
    assert!(guesses.judge(&a, address(1), Password::Right, begin).is_err(), "nor is a right one told apart");
    assert!(guesses.judge(&a, None, Password::Right, begin).is_err());
    assert!(guesses.judge(&account('b'), address(1), Password::Right, begin).is_ok(), "another account");
    let later = begin + Duration::from_secs(59);
    assert!(guesses.judge(&a, address(1), Password::Wrong, later).is_err());
    let later = begin + Duration::from_secs(60);
    assert!(guesses.judge(&a, address(1), Password::Right, later).is_ok());
    assert_eq!(guessed(&guesses, &a, 20, later), 10);
}

#[test]
fn right_passwords_cost_nothing() {
    let now = Instant::now();
    let guesses = PasswordGuesses::new(now);
    let a = account('a');
    for _ in 0..500 {
        assert!(guesses.judge(&a, address(1), Password::Right, now).is_ok());
    }
    assert_eq!(guessed(&guesses, &a, 150, now), 100);
}

#[test]
fn an_address_that_logged_in_within_a_day_is_not_locked_out() {
    let begin = Instant::now();
    let guesses = PasswordGuesses::new(begin);
    let a = account('a');
    guesses.remember(&a, address(1), begin);
    guesses.remember(&a, None, begin);
    assert_eq!(guessed(&guesses, &a, 150, begin), 100);
    let right = |n, now| guesses.judge(&a, address(n), Password::Right, now).is_ok();
    assert!(right(1, begin) && !right(2, begin));
    assert!(guesses.judge(&a, None, Password::Right, begin).is_err());
    // Its own mistakes count for nobody.
    let b = account('b');
    guesses.remember(&b, address(1), begin);
    for _ in 0..200 {
        assert!(guesses.judge(&b, address(1), Password::Wrong, begin).is_ok());
    }
    assert_eq!(guessed(&guesses, &b, 150, begin), 100);
    // A day later it is like any other.
    let almost = begin + Duration::from_secs(24 * 3_600 - 1);
    guessed(&guesses, &a, 150, almost);
    assert!(right(1, almost));
    let later = almost + Duration::from_secs(1);
    guessed(&guesses, &a, 150, later);
    assert!(!right(1, later));
    // A login in between makes it known for another day.
    guesses.remember(&a, address(2), almost);
    assert!(right(2, later));
}

/// An office, its branches and the homes of its people.
#[test]
fn an_account_can_be_known_from_hundreds_of_addresses() {
    let now = Instant::now();
    let guesses = PasswordGuesses::new(now);
    let a = account('a');
    (0..1_000).for_each(|n| guesses.remember(&a, address(n), now));
    assert_eq!(guessed(&guesses, &a, 150, now), 100);
    assert!((0..1_000).all(|n| guesses.judge(&a, address(n), Password::Right, now).is_ok()));
}

/// A refusal does not tell whether an account exists, and any number of made-up names takes no memory.
#[test]
fn made_up_accounts_are_counted_alike_in_a_fixed_number_of_buckets() {
    let now = Instant::now();
    let guesses = PasswordGuesses::new(now);
    let taken = (0..150).filter(|_| guesses.judge_unknown("nobody", now).is_ok()).count();
    assert_eq!(taken, 100);
    for n in 0..100_000 {
        let _ = guesses.judge_unknown(&format!("made up {n}"), now);
    }
    assert_eq!(guesses.unknown.len(), UNKNOWN_BUCKETS);
    assert_eq!(guesses.accounts.entry_count(), 0);
    assert_eq!(guessed(&guesses, &account('a'), 150, now), 100, "an account that exists has its own");
}
