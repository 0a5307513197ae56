//! Restarts, stopping and health, in paused time: a pause of minutes takes no time at all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::{BACKOFF, Health, RECOVERED_AFTER, State, Supervisor};

/// Waits until `count` reaches `wanted`. Paused time runs on while everybody waits.
async fn reaches(count: &AtomicUsize, wanted: usize) {
    let deadline = Instant::now() + Duration::from_secs(36_000);
    while count.load(Ordering::SeqCst) < wanted {
        assert!(Instant::now() < deadline, "it did not reach {wanted}");
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_is_started_again_after_growing_pauses() {
    let supervisor = Supervisor::new(Handle::current());
    let starts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&starts);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    supervisor.start("failing", move |_| {
        noted.lock().unwrap().push(Instant::now());
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err("the store is away".to_owned()) }
    });
    reaches(&count, 14).await;
    let starts = starts.lock().unwrap().clone();
    let pauses = starts.windows(2).map(|pair| pair[1] - pair[0]);
    for (number, pause) in pauses.enumerate() {
        let full = BACKOFF.first.saturating_mul(1 << number).min(BACKOFF.cap);
        // Tokio's timer counts whole milliseconds.
        assert!(pause >= full / 2 && pause <= full + Duration::from_millis(2), "{number}: {pause:?}");
    }
    let health = supervisor.health();
    assert_eq!(health[0].last_error.as_deref(), Some("the store is away"));
    assert!(health[0].restarts >= 13, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_is_started_again() {
    let supervisor = Supervisor::new(Handle::current());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    supervisor.start("panicking", move |mut stop| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert!(number > 0, "the first run is a bad one");
            while stop.pause(Duration::from_secs(1)).await {}
            Ok(())
        }
    });
    reaches(&count, 2).await;
    let [health] = &supervisor.health()[..] else { panic!("one task") };
    assert_eq!((health.name, health.state, health.restarts), ("panicking", State::Running, 1));
    let error = health.last_error.as_deref().unwrap();
    assert!(error.contains("it panicked: the first run is a bad one"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ran_long_begins_again_with_a_short_pause() {
    let supervisor = Supervisor::new(Handle::current());
    let starts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&starts);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    supervisor.start("slow to fail", move |_| {
        noted.lock().unwrap().push(Instant::now());
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(RECOVERED_AFTER).await;
            Err("after a while".to_owned())
        }
    });
    reaches(&count, 6).await;
    let starts = starts.lock().unwrap().clone();
    for pair in starts.windows(2) {
        assert!(pair[1] - pair[0] <= RECOVERED_AFTER + BACKOFF.first + Duration::from_millis(2));
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_the_step_that_runs() {
    let supervisor = Supervisor::new(Handle::current());
    let finished = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let (steps, starts) = (Arc::clone(&finished), Arc::clone(&begun));
    supervisor.start("stepping", move |mut stop| {
        let (steps, starts) = (Arc::clone(&steps), Arc::clone(&starts));
        async move {
            loop {
                starts.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(3)).await;
                steps.fetch_add(1, Ordering::SeqCst);
                if !stop.pause(Duration::from_secs(3_600)).await {
                    return Ok(());
                }
            }
        }
    });
    reaches(&begun, 1).await;
    let told = Instant::now();
    supervisor.stop(Duration::from_secs(10)).await;
    assert_eq!(finished.load(Ordering::SeqCst), 1, "the step was finished");
    assert!(told.elapsed() <= Duration::from_secs(4), "the pause after it was cut short");
    assert_eq!(
        supervisor.health(),
        [Health { name: "stepping", state: State::Stopped, last_error: None, restarts: 0 }]
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_pause_or_for_ever() {
    let supervisor = Supervisor::new(Handle::current());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    supervisor.start("backing off", move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err("no".to_owned()) }
    });
    supervisor.start("deaf", |_| std::future::pending());
    reaches(&count, 8).await;
    let told = Instant::now();
    let states =
        |supervisor: &Supervisor| supervisor.health().iter().map(|health| health.state).collect::<Vec<_>>();
    let [State::BackingOff { since }, State::Running] = states(&supervisor)[..] else {
        panic!("{:?}", supervisor.health())
    };
    assert!(since < told, "it has failed for a while");
    let line = supervisor.health()[0].to_string();
    assert!(line.starts_with("backing off: failing for ") && line.ends_with(" restarts"), "{line}");
    supervisor.stop(Duration::from_secs(2)).await;
    assert!(told.elapsed() <= Duration::from_secs(3), "{:?}", told.elapsed());
    assert_eq!(states(&supervisor), [State::Stopped, State::Running], "the deaf one was dropped");
}
