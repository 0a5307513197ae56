//! Asks two servers the same question at the same time. What differs, or has no answer, is asked again after a second:
//! somebody may have written in between.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use comparison::{Difference, Looks, Seen};
use tokio::sync::Mutex;

use super::credentials::Credentials;
use super::pace::Pace;
use crate::counterpart::{Counterpart, Heard, Question, Unanswered};
use crate::failure::Failure;

/// The pause before a question is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// How many questions in a row may have no answer before the comparison stops.
const MOST_SILENT: u32 = 20;

/// Two servers, and what they are shown.
pub(super) struct Pair {
    here: Counterpart,
    there: Counterpart,
    credentials: Credentials,
    pace: Pace,
    forwarded_for: Option<IpAddr>,
    token: Mutex<String>,
    /// How many questions in a row had no answer.
    silent: AtomicU32,
}

/// What came of a question.
pub(super) struct Compared {
    pub(super) verdict: Verdict,
    /// The answers, if there were any.
    pub(super) answers: Option<Answers>,
}

/// What one look has shown: the first difference, if there is any.
struct Look {
    found: Option<Difference>,
    answers: Answers,
}

/// Whether two servers answer alike.
pub(super) enum Verdict {
    Same,
    Differs(Difference),
    /// A server gave no answer.
    Unanswered(String),
    /// The answers differ in another place each time.
    Unsettled,
}

/// The answers of both servers.
pub(super) struct Answers {
    pub(super) here: Heard,
    pub(super) there: Heard,
}

impl Answers {
    fn are_both(&self, status: u16) -> bool {
        self.status() == Some(status)
    }

    /// The status of both answers, if they have the same one.
    pub(super) fn status(&self) -> Option<u16> {
        (self.here.status == self.there.status).then_some(self.here.status)
    }

    /// The body of this server's answer, if both answers are good.
    pub(super) fn body(&self) -> Option<&[u8]> {
        self.are_both(200).then_some(self.here.body.as_slice())
    }
}

impl Pair {
    pub(super) fn new(
        here: Counterpart,
        there: Counterpart,
        credentials: Credentials,
        pace: Pace,
        forwarded_for: Option<IpAddr>,
    ) -> Self {
        let (token, silent) = (Mutex::default(), AtomicU32::new(0));
        Self { here, there, credentials, pace, forwarded_for, token, silent }
    }

    /// Fetches a token, and sees that both servers answer.
    pub(super) async fn begin(&self) -> Result<(), Failure> {
        for server in [&self.there, &self.here] {
            let answer = server.ask(&Question::new("/".to_owned())).await;
            answer.map_err(|error| {
                Failure::setup(format!(
                    "{} gives no answer: {error}; --server is this server, and --against the other one",
                    server.address()
                ))
            })?;
        }
        *self.token.lock().await = self.credentials.token(&self.there).await?;
        Ok(())
    }

    /// Asks both servers.
    ///
    /// # Errors
    /// A failure that ends the comparison: the token is no longer good, or a server is gone.
    pub(super) async fn ask(&self, target: String) -> Result<Compared, Failure> {
        let mut looks = Looks::default();
        let mut was_silent = false;
        loop {
            match self.look(&target).await? {
                Ok(Look { found, answers }) => {
                    was_silent = false;
                    self.silent.store(0, Ordering::Relaxed);
                    let verdict = match looks.note(found) {
                        Seen::Same => Some(Verdict::Same),
                        Seen::Differs(difference) => Some(Verdict::Differs(difference)),
                        Seen::Unsettled => Some(Verdict::Unsettled),
                        Seen::Unclear => None,
                    };
                    if let Some(verdict) = verdict {
                        return Ok(Compared { verdict, answers: Some(answers) });
                    }
                }
                Err(why) if was_silent => {
                    if self.silent.fetch_add(1, Ordering::Relaxed) >= MOST_SILENT {
                        return Err(Failure::run(format!("too many requests in a row had no answer: {why}")));
                    }
                    return Ok(Compared { verdict: Verdict::Unanswered(why), answers: None });
                }
                Err(_) => was_silent = true,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks both servers once. Without an answer, it says which server gives none, and why.
    async fn look(&self, target: &str) -> Result<Result<Look, String>, Failure> {
        let token = self.token.lock().await.clone();
        let mut answers = self.ask_both(target, &token).await;
        if answers.as_ref().is_ok_and(|answers| answers.are_both(401)) {
            let token = self.renewed(&token).await?;
            answers = self.ask_both(target, &token).await;
            if answers.as_ref().is_ok_and(|answers| answers.are_both(401)) {
                return Err(Failure::run("neither server accepts a token that was fetched just now"));
            }
        }
        Ok(answers.map(|answers| {
            let found = comparison::compare(target, answers.there.as_answer(), answers.here.as_answer());
            Look { found, answers }
        }))
    }

    /// The answers of both servers, or which of them gives none, and why.
    async fn ask_both(&self, target: &str, token: &str) -> Result<Answers, String> {
        let mut question = Question::new(target.to_owned());
        question.add_request_id();
        question.add_header("x-auth-token", token.as_bytes());
        question.add_header("x-crossbar-groups-shadow", b"true");
        if let Some(address) = self.forwarded_for {
            question.add_header("x-forwarded-for", address.to_string().as_bytes());
        }
        self.pace.wait().await;
        let (there, here) = futures::join!(self.there.ask(&question), self.here.ask(&question));
        let told = |server: &Counterpart, why: Unanswered| format!("{}: {why}", server.address());
        let there = there.map_err(|why| told(&self.there, why))?;
        let here = here.map_err(|why| told(&self.here, why))?;
        Ok(Answers { here, there })
    }

    /// A new token in place of one that neither server accepts.
    async fn renewed(&self, old: &str) -> Result<String, Failure> {
        let mut token = self.token.lock().await;
        // Another request may have done it.
        if *token == old {
            if !self.credentials.can_renew() {
                return Err(Failure::run(
                    "neither server accepts the token: it has expired, or it is one of another cluster",
                ));
            }
            *token = self.credentials.token(&self.there).await?;
        }
        Ok(token.clone())
    }
}
