//! The worker of `serve --shadow`. It takes copies of requests, answers each one once more here, asks the other server,
//! and compares the two answers. A difference counts only if the same one is seen again after a second, since somebody
//! may write between the two reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Data;
use comparison::{Difference, Looks, Seen};
use futures::StreamExt as _;
use futures::stream;
use tokio::sync::Mutex;

use crate::access_log::shown_path;
use crate::app::App;
use crate::budget::Payer;
use crate::counterpart::{Bounds, Counterpart, CounterpartUrl, Heard, Question};
use crate::failure::Failure;
use crate::http;
use crate::logging::Throttle;
use crate::metrics::Metrics;
use crate::request::header_names;
use crate::request::incoming::{Copied, Incoming};
use crate::settings::ServeSettings;
use crate::shadow::{Copies, Counts, Outcome, Shadow, target_of};
use crate::supervisor::{StopSignal, Supervisor};

/// How long an answer may take, and how large it may be. Larger listings are not compared here, but by `compare`.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(10), bytes: 1_000_000 };

/// How many requests are compared at once.
const AT_ONCE: usize = 4;

/// The pause before two answers that differ are compared once more.
const PAUSE: Duration = Duration::from_secs(1);

/// How often the log repeats that requests were not compared.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// Sets up the comparison, if the settings name another server. The metric is there in any case.
pub(super) fn set_up(
    settings: &ServeSettings,
    metrics: &Metrics,
) -> Result<(Option<Shadow>, Option<ShadowWorker>), Failure> {
    let counts = Arc::new(Counts::default());
    counts.register(metrics);
    let Some(address) = settings.shadow.clone() else { return Ok((None, None)) };
    let comparer = Arc::new(Comparer::new(address, Arc::clone(&counts))?);
    let (shadow, copies) = Shadow::new(settings.shadow_rate, counts);
    Ok((Some(shadow), Some(ShadowWorker { comparer, copies: Arc::new(Mutex::new(copies)) })))
}

/// Compares the copies in the background.
pub(super) struct ShadowWorker {
    comparer: Arc<Comparer>,
    copies: Arc<Mutex<Copies>>,
}

impl ShadowWorker {
    /// Compares copies until the server stops.
    pub(super) fn start(self, supervisor: &Supervisor, app: Data<App>) {
        supervisor.start("comparison with the other server", move |stop| {
            Arc::clone(&self.comparer).run(app.clone(), Arc::clone(&self.copies), stop)
        });
    }
}

/// Compares the answers of two servers.
struct Comparer {
    counterpart: Counterpart,
    counts: Arc<Counts>,
    differences: Throttle,
    /// When the log last said that a request was not compared.
    logged_at: std::sync::Mutex<Option<Instant>>,
}

/// Why two answers are not compared.
enum NotCompared {
    Here,
    There(String),
    Unsettled,
}

impl Comparer {
    fn new(address: CounterpartUrl, counts: Arc<Counts>) -> Result<Self, Failure> {
        let counterpart = Counterpart::new(address, BOUNDS)?;
        Ok(Self {
            counterpart,
            counts,
            differences: Throttle::new(1),
            logged_at: std::sync::Mutex::new(None),
        })
    }

    /// Compares copies until the server stops.
    async fn run(
        self: Arc<Self>,
        app: Data<App>,
        copies: Arc<Mutex<Copies>>,
        mut stop: StopSignal,
    ) -> Result<(), String> {
        let mut copies = copies.lock().await;
        let copies = stream::poll_fn(move |context| copies.poll_recv(context));
        let looks = copies.for_each_concurrent(AT_ONCE, |copied| self.look(&app, copied));
        tokio::select! {
            () = looks => {}
            () = stop.stopped() => {}
        }
        Ok(())
    }

    async fn look(&self, app: &Data<App>, copied: Copied) {
        let copied = Arc::new(copied);
        let question = question(&copied.incoming());
        let mut looks = Looks::default();
        let outcome = loop {
            let seen = match self.compare(app, &copied, &question).await {
                Ok(found) => looks.note(found),
                Err(why) => {
                    self.log_not_compared(why);
                    break Outcome::Unanswered;
                }
            };
            match seen {
                Seen::Same => break Outcome::Same,
                Seen::Differs(difference) => {
                    self.log_difference(&copied.incoming(), &question, &difference);
                    break Outcome::Differs;
                }
                Seen::Unclear => tokio::time::sleep(PAUSE).await,
                Seen::Unsettled => {
                    self.log_not_compared(NotCompared::Unsettled);
                    break Outcome::Unanswered;
                }
            }
        };
        self.counts.note(outcome);
    }

    async fn compare(
        &self,
        app: &Data<App>,
        copied: &Arc<Copied>,
        question: &Question,
    ) -> Result<Option<Difference>, NotCompared> {
        let (shared, copy) = (app.clone(), Arc::clone(copied));
        let lane = app.lane.of(Payer::Stranger);
        let here = lane.run(async move { http::answer_again(&shared, &copy.incoming(), BOUNDS.bytes).await });
        let (there, here) = tokio::join!(self.counterpart.ask(question), here);
        let here: Heard = here.ok().flatten().ok_or(NotCompared::Here)?;
        let there = there.map_err(|why| NotCompared::There(why.to_string()))?;
        Ok(comparison::compare(question.target(), there.as_answer(), here.as_answer()))
    }

    /// Logs where two answers differ, but not their content.
    fn log_difference(&self, incoming: &Incoming<'_>, question: &Question, difference: &Difference) {
        let Some(left_out) = self.differences.admit(Instant::now()) else { return };
        let request_id = question.request_id();
        let path = shown_path(incoming.path);
        log::warn!(
            request_id, path = &*path, place = difference.place(), with:% = self.counterpart.address(), left_out;
            "the other server answers differently"
        );
    }

    fn log_not_compared(&self, why: NotCompared) {
        let now = Instant::now();
        let mut logged_at = self.logged_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if logged_at.is_some_and(|last| now.saturating_duration_since(last) < LOG_PAUSE) {
            return;
        }
        *logged_at = Some(now);
        drop(logged_at);
        let with = self.counterpart.address();
        match why {
            NotCompared::Here => {
                log::warn!(with:%; "a read was not compared: this server gave no short answer to it")
            }
            NotCompared::There(why) => {
                log::warn!(with:%; "a read was not compared with the other server: {why}")
            }
            NotCompared::Unsettled => {
                log::warn!(with:%; "a read was not compared: somebody writes there, and its answers differ in another place each time")
            }
        }
    }
}

/// The question to the other server. It has the client's own credentials, and names the client's address as a proxy
/// does.
fn question(incoming: &Incoming<'_>) -> Question {
    let mut question = Question::new(target_of(incoming.path, incoming.query));
    for (name, value) in incoming.headers {
        question.add_header(name.as_str(), value.as_bytes());
    }
    if let Some(peer) = incoming.peer {
        question.add_header(header_names::X_FORWARDED_FOR.as_str(), peer.to_string().as_bytes());
    }
    question.add_request_id();
    question.add_header(header_names::X_SHADOW.as_str(), b"true");
    question
}
