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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let (is_set_up, writes) =
            futures::join!(app.auth.is_set_up(&*app.uncached, deadline), writes.verdict(deadline));
        if let Err(error) = &is_set_up {
            log::warn!("not ready: {}", crate::chain(error));
        }
        let reads = reads(&is_set_up, app.release.mismatch().as_deref(), app.running.is_stopping());
        let readiness = Readiness { reads, writes };
        *found.lock().unwrap_or_else(PoisonError::into_inner) = readiness.found();
        let (status, mut body) = readiness.answer(asks, &supervisor.health());
        if let Value::Object(members) = &mut body {
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

/// Whether the server can answer reads. An error says why not.
fn reads(
    is_set_up: &Result<bool, StoreError>,
    mismatch: Option<&str>,
    is_stopping: bool,
) -> Result<(), String> {
    match (is_set_up, mismatch) {
        _ if is_stopping => Err("the server is stopping".to_owned()),
        (Ok(true), None) => Ok(()),
        (Ok(true), Some(reason)) => Err(format!("the store is one of another release of Kazoo: {reason}")),
        (Ok(false), _) => Err("the store is not set up".to_owned()),
        (Err(_), _) => Err("the store does not answer".to_owned()),
    }
}

/// How ready the server is: for the answer and for the metrics.
struct Readiness {
    /// Whether the server can answer reads. An error says why not.
    reads: Result<(), String>,
    /// Whether the store can write.
    writes: Verdict,
}

impl Readiness {
    fn found(&self) -> Found {
        let can_write = match self.writes {
            Verdict::Yes => Some(true),
            Verdict::No(_) => Some(false),
            Verdict::Unknown => None,
        };
        Found { is_ready: self.reads.is_ok(), can_write }
    }

    fn answer(&self, asks: Asks, tasks: &[Health]) -> (StatusCode, Value) {
        let Found { is_ready, can_write } = self.found();
        let is_ready = is_ready && (asks == Asks::Reads || can_write != Some(false));
        let status = self.reads.as_ref().err().map_or("ready", String::as_str);
        let tasks: Vec<_> = tasks.iter().map(ToString::to_string).collect();
        let body = match &self.writes {
            Verdict::Yes | Verdict::Unknown => json!({"status": status, "writes": can_write, "tasks": tasks}),
            Verdict::No(reason) => {
                let reason = format!("the store cannot write: {reason}");
                json!({"status": status, "writes": can_write, "reason": reason, "tasks": tasks})
            }
        };
        (if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
    }
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
    use datastore::Cause;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::{Asks, Found, Health, Readiness, StoreError, Verdict, reads};
    use crate::supervisor::State;

    fn check(is_set_up: &Result<bool, StoreError>, writes: Verdict, asks: Asks, expected: (u16, Value)) {
        let readiness = Readiness { reads: reads(is_set_up, None, false), writes };
        let (status, body) = readiness.answer(asks, &[]);
        assert_eq!((status.as_u16(), body), expected);
    }

    #[test]
    fn a_failing_task_is_named_and_the_server_stays_ready() {
        let state = State::BackingOff { since: Instant::now() };
        let task = Health { name: "purge", state, last_error: Some("no".to_owned()), restarts: 3 };
        let readiness = Readiness { reads: Ok(()), writes: Verdict::Yes };
        let (status, body) = readiness.answer(Asks::Writes, &[task]);
        let tasks = ["purge: failing for 0 seconds, 3 restarts"];
        assert_eq!(
            (status.as_u16(), body),
            (200, json!({"status": "ready", "writes": true, "tasks": tasks}))
        );
    }

    fn timeout() -> Result<bool, StoreError> {
        Err(StoreError::DeadlineExceeded(Cause::new("x")))
    }

    #[test]
    fn the_reason_for_which_a_server_is_not_ready_is_told() {
        let mismatch = Some("it is Kazoo 4.3 now");
        for (is_set_up, mismatch, is_stopping, expected) in [
            (Ok(true), mismatch, false, "the store is one of another release of Kazoo: it is Kazoo 4.3 now"),
            (Ok(false), mismatch, false, "the store is not set up"),
            (timeout(), None, false, "the store does not answer"),
            (Ok(true), None, true, "the server is stopping"),
            (timeout(), mismatch, true, "the server is stopping"),
        ] {
            assert_eq!(reads(&is_set_up, mismatch, is_stopping), Err(expected.to_owned()));
        }
        assert_eq!(reads(&Ok(true), None, false), Ok(()));
    }

    /// An answer and the metrics after it say the same.
    #[test]
    fn the_metrics_and_the_answer_agree() {
        for reads in [Ok(()), Err("the server is stopping".to_owned())] {
            for (writes, can_write) in [
                (Verdict::Yes, Some(true)),
                (Verdict::No("full".to_owned()), Some(false)),
                (Verdict::Unknown, None),
            ] {
                let readiness = Readiness { reads: reads.clone(), writes };
                let found = readiness.found();
                assert_eq!(found, Found { is_ready: reads.is_ok(), can_write });
                let (status, body) = readiness.answer(Asks::Reads, &[]);
                assert_eq!((status == 200, &body["writes"]), (found.is_ready, &json!(can_write)));
                let (status, _) = readiness.answer(Asks::Writes, &[]);
                assert_eq!(status == 200, found.is_ready && can_write != Some(false));
            }
        }
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
