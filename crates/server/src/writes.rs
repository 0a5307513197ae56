//! Whether the store can write. A layer sees how each write ends. The embedded store, whose file has no other
//! user, is also asked to write on trial when somebody wants to know.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use datastore::{Backend, DbName, Deadline, DocId, Draft, Layer, Result, Rev, StoreError};
use embedded::Embedded;
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// How long the outcome of a write counts. After that it is unknown again whether the store can write, so a
/// proxy that sends no requests to this server for that reason tries again.
const OUTCOME_COUNTS_FOR: Duration = Duration::from_secs(60);

/// How long the outcome of a trial counts.
const TRIAL_COUNTS_FOR: Duration = Duration::from_secs(1);

/// Whether the store can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has just written.
    Yes,
    /// It cannot, for this reason.
    No(String),
    /// Nothing was written lately.
    Unknown,
}

/// What is known of the store's writes.
pub(crate) struct Writes {
    /// The store to try, if it may be tried.
    embedded: Option<Embedded>,
    /// The outcome of the last write, and its time. An error is the reason.
    last: Mutex<Option<(Instant, Outcome)>>,
    /// The outcome of the last trial, and its time. Only one trial runs at a time.
    trial: tokio::sync::Mutex<Option<(Instant, Outcome)>>,
}

type Outcome = std::result::Result<(), String>;

impl Writes {
    /// Knows nothing yet. `embedded` is the store that may be asked to write on trial.
    pub(crate) fn new(embedded: Option<Embedded>) -> Self {
        Self { embedded, last: Mutex::new(None), trial: tokio::sync::Mutex::new(None) }
    }

    /// Whether the store can write.
    pub(crate) async fn verdict(&self, deadline: Deadline) -> Verdict {
        if let Some(embedded) = &self.embedded
            && let Err(reason) = self.try_to_write(embedded, deadline).await
        {
            return Verdict::No(reason);
        }
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match last.filter(|(at, _)| at.elapsed() < OUTCOME_COUNTS_FOR) {
            Some((_, Err(reason))) => Verdict::No(reason),
            Some((_, Ok(()))) => Verdict::Yes,
            None if self.embedded.is_some() => Verdict::Yes,
            None => Verdict::Unknown,
        }
    }

    async fn try_to_write(&self, embedded: &Embedded, deadline: Deadline) -> Outcome {
        let mut trial = self.trial.lock().await;
        let before = trial.take().filter(|(at, _)| at.elapsed() < TRIAL_COUNTS_FOR);
        let (at, outcome) = match before {
            Some(before) => before,
            None => {
                let outcome = embedded.probe_write(deadline).await.map_err(|error| reason(&error));
                if let Err(reason) = &outcome {
                    log::error!("the store cannot write: {reason}");
                }
                (Instant::now(), outcome)
            }
        };
        *trial = Some((at, outcome.clone()));
        outcome
    }

    /// Takes note of how a write ended.
    fn note<T>(&self, ended: &Result<T>) {
        let outcome = match ended {
            Ok(_) => Ok(()),
            Err(error) if is_of_the_store(error) => Err(reason(error)),
            // The store refused this write, and says nothing about others.
            Err(_) => return,
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let could = last.as_ref().is_none_or(|(_, outcome)| outcome.is_ok());
        match &outcome {
            Err(reason) if could => log::error!("the store cannot write: {reason}"),
            Ok(()) if !could => log::info!("the store writes again"),
            _ => {}
        }
        *last = Some((Instant::now(), outcome));
    }
}

/// Why the store cannot write. Those who tell it add that the store cannot write.
fn reason(error: &StoreError) -> String {
    match error {
        StoreError::CannotWrite(cause) => crate::chain(cause),
        other => crate::chain(other),
    }
}

/// Whether any other write would have failed too.
fn is_of_the_store(error: &StoreError) -> bool {
    (error.is_retryable() && !error.is_busy()) || matches!(error, StoreError::Unauthorized(_))
}

/// A store whose writes are noted.
pub(crate) struct NotedWrites {
    inner: Arc<dyn Backend>,
    writes: Arc<Writes>,
}

impl NotedWrites {
    /// Notes the writes of `inner`.
    pub(crate) fn new(inner: Arc<dyn Backend>, writes: Arc<Writes>) -> Self {
        Self { inner, writes }
    }
}

impl Layer for NotedWrites {
    fn inner(&self) -> &dyn Backend {
        &*self.inner
    }

    fn save<'a>(&'a self, db: &'a DbName, draft: Draft, deadline: Deadline) -> BoxFuture<'a, Result<Rev>> {
        self.inner.save(db, draft, deadline).inspect(|saved| self.writes.note(saved)).boxed()
    }

    fn save_many<'a>(
        &'a self,
        db: &'a DbName,
        drafts: Vec<Draft>,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Vec<Result<Rev>>>> {
        let saved = self.inner.save_many(db, drafts, deadline);
        saved
            .inspect(|saved| match saved {
                Ok(each) => each.iter().for_each(|saved| self.writes.note(saved)),
                Err(_) => self.writes.note(saved),
            })
            .boxed()
    }

    fn delete<'a>(
        &'a self,
        db: &'a DbName,
        id: &'a DocId,
        base: &'a Rev,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Rev>> {
        self.inner.delete(db, id, base, deadline).inspect(|deleted| self.writes.note(deleted)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use datastore::{Cause, Deadline, Result, StoreError};

    use super::{Verdict, Writes};

    #[tokio::test]
    async fn the_last_write_that_tells_of_the_store_decides() {
        let writes = Writes::new(None);
        let verdict = || writes.verdict(Deadline::after(Duration::from_secs(60)));
        assert_eq!(verdict().await, Verdict::Unknown);
        let conflict: Result<()> = Err(StoreError::Conflict(Cause::new("x")));
        let busy: Result<()> = Err(StoreError::Busy(Cause::new("x")));
        writes.note(&conflict);
        assert_eq!(verdict().await, Verdict::Unknown);
        writes.note(&Ok(()));
        writes.note(&conflict);
        writes.note(&busy);
        assert_eq!(verdict().await, Verdict::Yes);
        writes.note::<()>(&Err(StoreError::Unavailable(Cause::new("enospc"))));
        writes.note(&conflict);
        assert_eq!(verdict().await, Verdict::No("the store is unavailable: enospc".to_owned()));
        writes.note(&Ok(()));
        assert_eq!(verdict().await, Verdict::Yes);
        writes.note::<()>(&Err(StoreError::CannotWrite(Cause::new("the disk is full"))));
        assert_eq!(verdict().await, Verdict::No("the disk is full".to_owned()));
    }
}
