//! The notices of others: what is heard, and what is not.

use std::time::Duration;

use notices::Heard;
use serde_json::json;

use crate::world::{Mode, World, db, doc_id, wait_until};

fn document(id: &str, rev: &datastore::Rev) -> Heard {
    Heard::Document { db: db(), id: doc_id(id), rev: Some(rev.clone()) }
}

/// Servers listen soon after the connection began.
async fn quick_world() -> World {
    let mut world = World::new().await;
    world.patience = Duration::from_millis(20);
    world
}

#[tokio::test]
async fn another_server_is_heard_and_itself_is_not() {
    let world = quick_world().await;
    let (one, other) = (world.server("one"), world.server("other"));
    wait_until("two listeners", || one.counts().is_listening && other.counts().is_listening).await;
    let rev = one.create("a b/c").await;
    wait_until("the notice", || other.counts().heard == 1).await;
    assert_eq!(other.heard(), [document("a b/c", &rev)]);
    let rev = other.create("b").await;
    wait_until("the notice", || one.counts().heard == 1).await;
    assert_eq!(one.heard(), [document("b", &rev)]);
    for server in [one, other] {
        server.stop().await;
    }
}

#[tokio::test]
async fn databases_are_heard_and_other_messages_harm_nothing() {
    let world = quick_world().await;
    let server = world.server("n");
    wait_until("a listener", || server.counts().is_listening).await;
    for text in ["", "{", "[1]", "\u{fffd}"] {
        world.broker.publish(text.as_bytes());
    }
    let encoded = db().encoded();
    let told = json!({
        "Event-Name": "db_edited", "Type": "database", "ID": encoded, "Database": encoded, "Node": "kazoo@h",
    });
    world.broker.publish(told.to_string().as_bytes());
    wait_until("the notice", || server.counts().heard > 0).await;
    assert_eq!(server.heard(), [Heard::Database(db())]);
    server.stop().await;
}

#[tokio::test]
async fn a_broker_that_was_down_is_listened_to_again() {
    let world = quick_world().await;
    let (one, other) = (world.server("one"), world.server("other"));
    wait_until("a listener", || other.counts().is_listening).await;
    world.broker.set(Mode::Down);
    wait_until("the end of the connection", || !other.counts().is_listening).await;
    world.broker.set(Mode::Up);
    wait_until("a listener", || other.counts().is_listening).await;
    let rev = one.create("a").await;
    wait_until("the notice", || other.counts().heard == 1).await;
    assert_eq!(other.heard(), [document("a", &rev)]);
    for server in [one, other] {
        server.stop().await;
    }
}
