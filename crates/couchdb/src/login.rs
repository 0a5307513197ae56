//! Whether a node takes the user and the password. CouchDB locks a user for minutes after five wrong passwords from
//! one address, and so locks out whoever shares the user and the address, such as Kazoo behind the same proxy. So
//! until an answer shows that the password is right, one request at a time carries it, and a password that was refused
//! is not sent again for a while.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Call, Error, Refusal};

/// How long a password that was refused is not sent again. CouchDB counts failures for five minutes.
const PAUSE: Duration = Duration::from_secs(100);

/// Whether a node has taken its user and password, or refused them.
#[derive(Debug, Default)]
pub(crate) struct Login {
    is_right: AtomicBool,
    refused: Mutex<Option<(Instant, Refusal)>>,
    first: tokio::sync::Mutex<()>,
}

/// The right to send a request with the password. While its outcome is not noted, others may wait for it.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    login: &'a Login,
    _first: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl Login {
    /// Waits until the password may be sent.
    ///
    /// # Errors
    /// The refusal, if it was refused a short time ago.
    pub(crate) async fn turn(&self, call: &Call) -> Result<Turn<'_>, Error> {
        if self.is_right.load(Ordering::Acquire) {
            return Ok(Turn { login: self, _first: None });
        }
        let first = self.first.lock().await;
        if self.is_right.load(Ordering::Acquire) {
            return Ok(Turn { login: self, _first: None });
        }
        match &*self.refused() {
            Some((at, refusal)) if at.elapsed() < PAUSE => {
                let reason = format!(
                    "{} (the same password is not sent again for {} s, because CouchDB would lock the user)",
                    refusal.reason,
                    PAUSE.as_secs()
                );
                Err(Error::Unauthorized(Box::new(Refusal { call: call.clone(), reason, ..refusal.clone() })))
            }
            _ => Ok(Turn { login: self, _first: Some(first) }),
        }
    }

    /// Nothing panics while it holds the lock.
    fn refused(&self) -> MutexGuard<'_, Option<(Instant, Refusal)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Notes whether CouchDB took the password.
    pub(crate) fn note<T>(self, answer: &Result<T, Error>) {
        match answer {
            Err(Error::Unauthorized(refusal)) if refusal.reason.contains("incorrect") => {
                *self.login.refused() = Some((Instant::now(), (**refusal).clone()));
                self.login.is_right.store(false, Ordering::Release);
            }
            // These say nothing about the password: CouchDB may have locked the user, or a proxy has answered.
            Err(Error::Unauthorized(_) | Error::Unavailable(_) | Error::Unexpected(_)) => {}
            Err(error) if error.status().is_none() => {}
            _ => self.login.is_right.store(true, Ordering::Release),
        }
    }
}
