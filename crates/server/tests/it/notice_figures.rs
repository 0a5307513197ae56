//! What change notices cost, and how fast they leave, with a real RabbitMQ. It prints figures, and judges none: they
//! depend on the machine. docs/performance.md says how to run it.

use std::collections::HashMap;
use std::time::Duration;

use crate::account::Account;
use crate::broker::load::{Load, Written};
use crate::broker::rabbit::{Heard, Listener, Rabbit};
use crate::broker::{notices, served, wait_for};

/// Together the clients write 200 times a second.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(40);

/// How many interleaved pairs are measured.
const PAIRS: u64 = 5;

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

fn run(account: &Account, seconds: u64) -> Written {
    let load = Load::start(account, CLIENTS, PAUSE);
    load.run_for(Duration::from_secs(seconds));
    load.stop()
}

/// In milliseconds.
fn p99(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() * 99 / 100].as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How long the answers took.
fn answers(written: &Written) -> f64 {
    p99(written.times.iter().map(|(.., took)| *took).collect())
}

/// How long after its answer each write was told. One that was told before counts as none.
fn receipts(written: &Written, heard: &[Heard]) -> f64 {
    let mut told: HashMap<&str, Duration> = HashMap::new();
    for heard in heard {
        told.entry(heard.says("Rev")).or_insert(heard.at);
    }
    p99(written.times.iter().map(|(rev, at, _)| told[rev.as_str()].saturating_sub(*at)).collect())
}

#[test]
#[ignore = "it measures, and needs RabbitMQ"]
fn answers_and_receipts_under_200_writes_a_second() {
    let seconds = number("FIGURES_SECONDS", 10);
    let rabbit = Rabbit::start();
    let listener = Listener::to(&rabbit);
    let (with, without) = (served(&rabbit.url(), &[]), Account::served());
    for account in [&with, &without] {
        run(account, 3);
    }
    let (mut ratios, mut delays) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let alone = run(&without, seconds);
        let written = run(&with, seconds);
        wait_for(&with, "all notices", |notices| notices["waiting"] == 0);
        let heard = listener.wait_until("the last revisions", |heard| written.missing(heard).is_empty());
        let (delay, answer, other) = (receipts(&written, &heard), answers(&written), answers(&alone));
        let rate = written.acknowledged / usize::try_from(seconds).unwrap();
        println!(
            "{rate} writes/s; p99 from answer to receipt {delay:.1} ms; answers' p99 with notices {answer:.1} ms, \
             without {other:.1} ms; failed {}, untold {}",
            written.failed + alone.failed,
            written.untold(&heard)
        );
        ratios.push(answer / other);
        delays.push(delay);
    }
    println!("medians: p99 from answer to receipt {:.1} ms; ratio {:.2}", median(delays), median(ratios));
}

#[test]
#[ignore = "it measures for minutes, and needs RabbitMQ"]
fn answers_while_the_broker_is_down() {
    let (pairs, down) = (number("FIGURES_PAIRS", PAIRS), number("FIGURES_DOWN", 60));
    let seconds = number("FIGURES_SECONDS", 10);
    let mut rabbit = Rabbit::start();
    let listener = Listener::to(&rabbit);
    let account = served(&rabbit.url(), &[]);
    run(&account, 3);
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        let before = run(&account, seconds);
        wait_for(&account, "all notices", |notices| notices["waiting"] == 0);
        rabbit.kill();
        let during = run(&account, down);
        rabbit.restart();
        wait_for(&account, "all notices", |notices| notices["waiting"] == 0);
        let heard = listener.wait_until("the last revisions", |heard| during.missing(heard).is_empty());
        during.check_order(&heard);
        let (up, gone) = (answers(&before), answers(&during));
        println!(
            "{} writes while the broker was down for {down} s; answers' p99 {gone:.1} ms, before {up:.1} ms; \
             failed {}, before {}; untold {}, dropped {}",
            during.acknowledged,
            during.failed,
            before.failed,
            during.untold(&heard),
            notices(&account)["dropped"]
        );
        ratios.push(gone / up);
    }
    println!("median: ratio {:.2}", median(ratios));
}
