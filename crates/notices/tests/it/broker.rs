//! A broker that is down, that has no queue for a notice, or that is silent.

use std::time::{Duration, Instant};

use crate::world::{Mode, World, group_with, wait_until};

/// While the broker is down, writes are as fast as ever. Afterwards it gets all notices, each document's in order.
async fn check_outage(mode: Mode) {
    let world = World::new().await;
    world.broker.set(mode);
    let server = world.server("n");
    let mut written = Vec::new();
    for n in 0..20 {
        let id = format!("g{}", n % 4);
        let base = written.iter().rev().find(|(other, _)| *other == id).map(|(_, rev)| rev);
        let begun = Instant::now();
        let rev = server.save(&id, base, group_with("n", n)).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "the broker delays a write");
        written.push((id, rev));
    }
    wait_until("waiting", || server.counts().waiting == 20).await;
    assert_eq!(server.counts().sent, 0);
    // A silent broker has taken some of them, and gets them again.
    world.broker.set(Mode::Down);
    wait_until("the end of the connection", || !server.counts().is_connected).await;
    world.broker.forget();
    world.broker.set(Mode::Up);
    world.broker.wait_for(20).await;
    wait_until("all are confirmed", || server.counts().waiting == 0).await;
    let told = world.broker.told();
    assert_eq!(told.len(), 20);
    for n in 0..4 {
        let id = format!("g{n}");
        let revs = written.iter().filter(|(other, _)| *other == id).map(|(_, rev)| rev.to_string());
        let told = told.iter().filter(|(_, other, _)| *other == id).map(|(_, _, rev)| rev.clone());
        assert_eq!(told.collect::<Vec<_>>(), revs.collect::<Vec<_>>());
    }
    let counts = server.counts();
    assert_eq!((counts.is_connected, counts.sent, counts.dropped, counts.waiting_bytes), (true, 20, 0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_down_delays_no_write_and_loses_nothing() {
    check_outage(Mode::Down).await;
}

#[tokio::test]
async fn a_broker_that_is_silent_delays_no_write_and_loses_nothing() {
    check_outage(Mode::Silent).await;
}

#[tokio::test]
async fn a_notice_that_comes_back_is_sent_again() {
    let world = World::new().await;
    world.broker.set(Mode::Unbound);
    let server = world.server("n");
    server.create("a").await;
    wait_until("a return", || server.counts().returned > 0).await;
    world.broker.set(Mode::Up);
    world.broker.wait_for(1).await;
    wait_until("the confirmation", || server.counts().sent == 1).await;
    assert_eq!(server.counts().dropped, 0);
    server.stop().await;
}

/// The server's own queue would take the notices before Kazoo's nodes are back, and Kazoo would never get them.
#[tokio::test]
async fn after_a_restart_of_the_broker_notices_wait_for_kazoo() {
    let world = World::new().await;
    let server = world.server("n");
    server.create("before").await;
    wait_until("a listener", || server.counts().is_listening).await;
    world.broker.set(Mode::Down);
    wait_until("the end of the connections", || {
        !server.counts().is_connected && !server.counts().is_listening
    })
    .await;
    world.broker.set(Mode::Unbound);
    let rev = server.create("after").await;
    // By the second one, a listener that does not wait would have its queue.
    wait_until("two returns", || server.counts().returned >= 2).await;
    assert!(!server.counts().is_listening);
    world.broker.set(Mode::Up);
    world.broker.wait_for(2).await;
    assert_eq!(world.broker.told()[1].2, rev.to_string());
    wait_until("a listener", || server.counts().is_listening).await;
    assert_eq!(server.counts().dropped, 0);
    server.stop().await;
}

/// Nobody else is there. After a while the server listens all the same.
#[tokio::test]
async fn a_server_that_is_alone_listens_in_the_end() {
    let mut world = World::new().await;
    world.patience = Duration::from_millis(500);
    world.broker.set(Mode::Unbound);
    let server = world.server("n");
    let began = Instant::now();
    wait_until("a listener", || server.counts().is_listening).await;
    assert!(began.elapsed() >= world.patience);
    server.stop().await;
    // A notice that nobody takes is given up first.
    let server = world.server("n");
    wait_until("the connection", || server.counts().is_connected).await;
    server.create("a").await;
    wait_until("a return", || server.counts().returned > 0).await;
    assert!(!server.counts().is_listening);
    wait_until("a listener", || server.counts().is_listening).await;
    assert_eq!((server.counts().dropped, server.counts().waiting), (1, 0));
    server.stop().await;
}

/// The broker may still deal with notices of the old connection. They must not come after later ones.
#[tokio::test]
async fn a_connection_with_open_notices_is_closed_before_they_are_sent_again() {
    let world = World::new().await;
    world.broker.set(Mode::Silent);
    let server = world.server("n");
    server.create("a").await;
    world.broker.wait_for(1).await;
    world.broker.set(Mode::Down);
    wait_until("the end of the connection", || !server.counts().is_connected).await;
    world.broker.set(Mode::Up);
    let ended = Instant::now();
    world.broker.wait_for(2).await;
    assert_eq!(world.broker.closed(), 1);
    assert!(ended.elapsed() >= Duration::from_millis(900), "{:?}", ended.elapsed());
    // Without open notices there is nothing to wait for.
    wait_until("the confirmation", || server.counts().waiting == 0).await;
    world.broker.set(Mode::Down);
    wait_until("the end of the connection", || !server.counts().is_connected).await;
    assert_eq!(world.broker.closed(), 1);
    server.stop().await;
}

/// The routing key would be longer than AMQP can carry.
#[tokio::test]
async fn an_id_that_is_too_long_is_counted_and_does_not_stop_others() {
    let world = World::new().await;
    let server = world.server("n");
    server.create(&"x".repeat(250)).await;
    server.create("a").await;
    world.broker.wait_for(1).await;
    wait_until("the drop", || server.counts().dropped == 1).await;
    assert_eq!(world.broker.told()[0].1, "a");
    server.stop().await;
}

/// More than the queue holds. The newest notice of each document stays.
#[tokio::test]
async fn a_full_queue_keeps_the_newest_of_each_document() {
    let world = World::new().await;
    world.broker.set(Mode::Down);
    let server = world.server("n");
    let mut revs = Vec::new();
    for n in 0..3 {
        let mut rev = server.create(&format!("g{n}")).await;
        for change in 0..800 {
            rev = server.save(&format!("g{n}"), Some(&rev), group_with("n", change)).await;
        }
        revs.push(rev.to_string());
    }
    let counts = server.counts();
    assert!(counts.dropped > 0 && counts.waiting_bytes <= 1_000_000, "{counts:?}");
    assert_eq!(counts.dropped + counts.waiting, 3 * 801);
    world.broker.set(Mode::Up);
    wait_until("all are confirmed", || server.counts().waiting == 0).await;
    let told = world.broker.told();
    for (n, rev) in revs.iter().enumerate() {
        let last = told.iter().rev().find(|(_, id, _)| *id == format!("g{n}")).unwrap();
        assert_eq!(last.2, *rev);
    }
    server.stop().await;
}
