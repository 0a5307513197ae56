//! The readiness check of the admin listener: JSON that says whether the store answers and belongs to the release
//! of Kazoo that the server stands in for, whether it can write, what each background task does, and how many change
//! notices wait or were dropped. Reads decide whether the server is ready. Writes do so only if the question asks for
//! it. A failing task is worth a look, but requests do not need it. A server that is about to stop is not ready.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use datastore::{Deadline, StoreError};
use notices::{Counts, Notices};
use serde_json::{Value, json};

use crate::app::App;
use crate::metrics::{Kind, Metrics, Reading, one_if};
use crate::supervisor::{Health, Supervisor};
use crate::writes::{Verdict, Writes};

/// How long the store may take to answer a health check.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// What must work for a server to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// Reads.
    Reads,
    /// Reads and writes.
    Writes,
}

/// Asks whether the server is ready, and keeps what it found last for the metrics.
pub(super) struct Checker {
    pub(super) app: Arc<App>,
    pub(super) writes: Arc<Writes>,
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) notices: Option<Arc<Notices>>,
    pub(super) found: Arc<Mutex<Found>>,
}

/// What a readiness check found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Whether the server was ready to read.
    is_ready: bool,
    /// Whether the store could write, if that was known.
    can_write: Option<bool>,
}

/// Answers `/health/ready`, with `writes=true` in the query only if the store can write.
pub(super) async fn ready(request: HttpRequest, checker: Data<Checker>) -> HttpResponse {
    let must_write = request.query_string().split('&').any(|parameter| parameter == "writes=true");
    let asks = if must_write { Asks::Writes } else { Asks::Reads };
    let (status, body) = checker.check(asks).await;
    HttpResponse::build(status).content_type("application/json").body(format!("{body}\n"))
}

/// Registers what the last readiness check found. Whoever shows the metrics makes a check before.
pub(super) fn register(metrics: &Metrics, found: &Arc<Mutex<Found>>) {
    type Figure = fn(Found) -> Option<bool>;
    let each: [(&'static str, &'static str, Figure); 2] = [
        ("ready", "1 if the server is ready, as /health/ready says", |found| Some(found.is_ready)),
        ("store_writable", "1 if the store can write; absent while that is not known", |found| {
            found.can_write
        }),
    ];
    for (name, help, figure) in each {
        let found = Arc::clone(found);
        let values = move || {
            let found = *found.lock().unwrap_or_else(PoisonError::into_inner);
            figure(found).map(|is_so| (String::new(), one_if(is_so))).into_iter().collect()
        };
        metrics.read(Reading { name, help, kind: Kind::Gauge, label: "", values: Box::new(values) });
    }
}

impl Checker {
    /// The status and the body of a readiness check.
    pub(super) async fn check(&self, asks: Asks) -> (StatusCode, Value) {
        let Self { app, writes, supervisor, notices, found } = self;
        let deadline = Deadline::after(PATIENCE);
        let (is_set_up, verdict) =
            futures::join!(app.auth.is_set_up(&*app.uncached, deadline), writes.verdict(deadline));
        if let Err(error) = &is_set_up {
            log::warn!("not ready: {}", crate::chain(error));
        }
        let mismatch = app.release.mismatch();
        *found.lock().unwrap_or_else(PoisonError::into_inner) = Found {
            is_ready: matches!(is_set_up, Ok(true)) && mismatch.is_none() && !app.running.is_stopping(),
            can_write: match &verdict {
                Verdict::Yes => Some(true),
                Verdict::No(_) => Some(false),
                Verdict::Unknown => None,
            },
        };
        let (mut status, mut body) =
            readiness(&is_set_up, mismatch.as_deref(), verdict, asks, &supervisor.health());
        if let Value::Object(members) = &mut body {
            if app.running.is_stopping() {
                status = StatusCode::SERVICE_UNAVAILABLE;
                members.insert("status".to_owned(), Value::from("the server is stopping"));
            }
            members.insert("profile".to_owned(), Value::from(app.profile().release.name()));
            if let Some(notices) = notices {
                members.insert("notices".to_owned(), notice_counts(notices.counts()));
            }
            if let Some(shadow) = &app.shadow {
                members.insert("shadow".to_owned(), shadow.counts().shown());
            }
        }
        (status, body)
    }
}

fn readiness(
    is_set_up: &Result<bool, StoreError>,
    mismatch: Option<&str>,
    verdict: Verdict,
    asks: Asks,
    tasks: &[Health],
) -> (StatusCode, Value) {
    let (mut is_ready, store) = match (is_set_up, mismatch) {
        (Ok(true), None) => (true, "ready".to_owned()),
        (Ok(true), Some(reason)) => {
            (false, format!("the store is one of another release of Kazoo: {reason}"))
        }
        (Ok(false), _) => (false, "the store is not set up".to_owned()),
        (Err(_), _) => (false, "the store does not answer".to_owned()),
    };
    let tasks: Vec<_> = tasks.iter().map(ToString::to_string).collect();
    let body = match verdict {
        Verdict::Yes => json!({"status": store, "writes": true, "tasks": tasks}),
        Verdict::Unknown => json!({"status": store, "writes": null, "tasks": tasks}),
        Verdict::No(reason) => {
            is_ready = is_ready && asks == Asks::Reads;
            let reason = format!("the store cannot write: {reason}");
            json!({"status": store, "writes": false, "reason": reason, "tasks": tasks})
        }
    };
    (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

/// A broker that does not answer is no reason to be unready: the notices wait.
fn notice_counts(counts: Counts) -> Value {
    let Counts {
        is_connected,
        waiting,
        waiting_bytes,
        sent,
        dropped,
        returned,
        is_listening,
        heard,
        shares_name,
    } = counts;
    json!({
        "connected": is_connected, "waiting": waiting, "waiting_bytes": waiting_bytes, "sent": sent,
        "dropped": dropped, "returned": returned, "listening": is_listening, "heard": heard,
        "shares_name": shares_name,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::{Asks, Health, StoreError, Verdict, readiness};
    use crate::supervisor::State;

    fn check(is_set_up: &Result<bool, StoreError>, verdict: Verdict, asks: Asks, expected: (u16, Value)) {
        let (status, body) = readiness(is_set_up, None, verdict, asks, &[]);
        assert_eq!((status.as_u16(), body), expected);
    }

    #[test]
    fn a_failing_task_is_named_and_the_server_stays_ready() {
        let state = State::BackingOff { since: Instant::now() };
        let task = Health { name: "purge", state, last_error: Some("no".to_owned()), restarts: 3 };
        let (status, body) = readiness(&Ok(true), None, Verdict::Yes, Asks::Writes, &[task]);
        let tasks = ["purge: failing for 0 seconds, 3 restarts"];
        assert_eq!(
            (status.as_u16(), body),
            (200, json!({"status": "ready", "writes": true, "tasks": tasks}))
        );
    }

    #[test]
    fn another_release_makes_the_server_unready() {
        let (status, body) =
            readiness(&Ok(true), Some("it is Kazoo 4.3 now"), Verdict::Yes, Asks::Reads, &[]);
        let text = "the store is one of another release of Kazoo: it is Kazoo 4.3 now";
        assert_eq!((status.as_u16(), &body["status"]), (503, &json!(text)));
    }

    #[test]
    fn a_store_that_is_not_set_up_makes_the_server_unready() {
        let body = json!({"status": "the store is not set up", "writes": null, "tasks": []});
        check(&Ok(false), Verdict::Unknown, Asks::Reads, (503, body));
    }

    #[test]
    fn a_store_that_cannot_write_makes_the_server_unready_only_for_those_who_ask() {
        let reason = "the store cannot write: full";
        let body = json!({"status": "ready", "writes": false, "tasks": [], "reason": reason});
        let no = || Verdict::No("full".to_owned());
        check(&Ok(true), no(), Asks::Reads, (200, body.clone()));
        check(&Ok(true), no(), Asks::Writes, (503, body));
        let body = json!({"status": "ready", "writes": null, "tasks": []});
        check(&Ok(true), Verdict::Unknown, Asks::Writes, (200, body));
    }
}
