//! The readiness check of the admin listener. Only the store decides it. The answer also has a line for each
//! background task. A failing task is worth a look, but requests do not need it.

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use datastore::{Deadline, StoreError};

use crate::app::App;
use crate::supervisor::{Health, Supervisor};

/// How long the store may take to answer a health check.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Answers `/health/ready`.
pub(super) async fn ready(app: Data<App>, supervisor: Data<Supervisor>) -> HttpResponse {
    let is_set_up = app.auth.is_set_up(Deadline::after(PATIENCE)).await;
    if let Err(error) = &is_set_up {
        log::warn!("not ready: {}", crate::chain(error));
    }
    let (status, body) = readiness(&is_set_up, &supervisor.health());
    HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(body)
}

fn readiness(is_set_up: &Result<bool, StoreError>, tasks: &[Health]) -> (StatusCode, String) {
    let (status, store) = match is_set_up {
        Ok(true) => (StatusCode::OK, "ready"),
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, "the store is not set up"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
    };
    let mut body = format!("{store}\n");
    for task in tasks {
        // Writing to a text cannot fail.
        let _ = writeln!(body, "{task}");
    }
    (status, body)
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use tokio::time::Instant;

    use super::{Health, readiness};
    use crate::supervisor::State;

    #[test]
    fn a_failing_task_is_named_and_the_server_stays_ready() {
        let state = State::BackingOff { since: Instant::now() };
        let task = Health { name: "purge", state, last_error: Some("no".to_owned()), restarts: 3 };
        let (status, body) = readiness(&Ok(true), &[task]);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body, "ready\npurge: failing for 0 seconds, 3 restarts\n");
    }

    #[test]
    fn a_store_that_is_not_set_up_makes_the_server_unready() {
        let task = Health { name: "purge", state: State::Running, last_error: None, restarts: 0 };
        let (status, body) = readiness(&Ok(false), &[task]);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "the store is not set up\npurge: running, 0 restarts\n");
    }
}
