//! Several brokers. Kazoo's nodes use the first one that answers, and go back to an earlier one.

use std::time::Duration;

use crate::world::{Broker, Mode, World, wait_until};

/// Two brokers of one zone.
async fn two() -> World {
    let mut world = World::new().await;
    world.others.push(Broker::default());
    world
}

fn ids(broker: &Broker) -> Vec<String> {
    broker.told().into_iter().map(|told| told.1).collect()
}

/// Kazoo's nodes may go back a moment before this server does. Its own queue takes what it tells meanwhile.
#[tokio::test]
async fn when_the_first_broker_is_back_notices_go_there_again() {
    let world = two().await;
    let (first, second) = (&world.broker, &world.others[0]);
    let server = world.server("n");
    server.create("a").await;
    first.wait_for(1).await;
    wait_until("a listener", || server.counts().is_listening).await;
    first.set(Mode::Down);
    server.create("b").await;
    second.wait_for(1).await;
    wait_until("a listener at the second", || server.counts().is_listening).await;
    second.set(Mode::Unbound);
    first.set(Mode::Up);
    first.forget();
    let rev = server.create("c").await;
    server.save("c", Some(&rev), crate::world::group_with("n", 1)).await;
    wait_until("the second takes them", || server.counts().waiting == 0).await;
    wait_until("the first gets them", || ids(first).iter().filter(|id| *id == "c").count() == 2).await;
    let revs: Vec<_> = first.told().into_iter().filter(|told| told.1 == "c").map(|told| told.2).collect();
    assert!(revs[0].starts_with("1-") && revs[1].starts_with("2-"), "{revs:?}");
    assert!(!second.publish(b"{}"), "it still has a queue at the second");
    server.create("d").await;
    wait_until("the first gets it", || ids(first).contains(&"d".to_owned())).await;
    wait_until("a listener at the first", || server.counts().is_listening && first.publish(b"{}")).await;
    assert_eq!(server.counts().dropped, 0);
    server.stop().await;
    assert!(world.local(&crate::world::db()).await.is_empty(), "marks are left");
}

/// Kazoo's nodes cannot reach the first one, and later they can.
#[tokio::test]
async fn a_broker_where_nobody_takes_notices_is_left_for_the_next() {
    let world = two().await;
    let (first, second) = (&world.broker, &world.others[0]);
    first.set(Mode::Unbound);
    let server = world.server("n");
    server.create("a").await;
    second.wait_for(1).await;
    server.create("b").await;
    second.wait_for(2).await;
    // Its own queue there would hide that the nodes have gone back.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!server.counts().is_listening);
    first.set(Mode::Up);
    second.set(Mode::Unbound);
    server.create("c").await;
    wait_until("the first gets it", || ids(first).contains(&"c".to_owned())).await;
    wait_until("a listener", || server.counts().is_listening && first.publish(b"{}")).await;
    assert_eq!((server.counts().dropped, server.counts().waiting), (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn notices_are_given_up_only_when_no_broker_has_anybody_who_takes_them() {
    let mut world = two().await;
    world.patience = Duration::from_millis(500);
    let (first, second) = (&world.broker, &world.others[0]);
    first.set(Mode::Unbound);
    second.set(Mode::Unbound);
    let server = world.server("n");
    server.create("a").await;
    wait_until("a return", || server.counts().returned > 0).await;
    assert!(!server.counts().is_listening);
    wait_until("the drop", || server.counts().dropped == 1).await;
    // Each broker was tried twice at least: a single return may be a moment's.
    assert!(server.counts().returned >= 4, "{:?}", server.counts());
    wait_until("a listener", || server.counts().is_listening).await;
    server.stop().await;
}
