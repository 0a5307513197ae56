//! A request that writes. In a cluster it waits for every copy of the document.

use datastore::{DbName, Deadline, Rev};
use reqwest::Method;
use tokio::time::Instant;

use crate::client::Client;
use crate::copies::{About, PATIENCE};
use crate::error::{Error, Target};
use crate::request::{Path, Request};
use crate::settings::Copies;

impl Client {
    /// Sends the write of one document in a request of its own.
    pub(crate) async fn send_alone(
        &self,
        db: &DbName,
        request: &Request,
        deadline: Deadline,
    ) -> Result<Rev, Error> {
        let send = async |request: &Request, by| self.send_whole(request, by).await?.rev();
        self.send_everywhere(db, request, deadline, send).await
    }

    /// Sends a request that writes. In a cluster it waits for every copy.
    pub(crate) async fn send_everywhere<T>(
        &self,
        db: &DbName,
        request: &Request,
        deadline: Deadline,
        send: impl AsyncFnOnce(&Request, Deadline) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let everywhere = self.everywhere(db, request, deadline).await;
        let (request, by) = everywhere.as_ref().map_or((request, deadline), |(request, by)| (request, *by));
        let start = Instant::now();
        let sent = send(request, by).await;
        if everywhere.is_some() && matches!(sent, Err(Error::DeadlineExceeded(_))) {
            self.copies().note_hanging(start);
        }
        sent
    }

    /// The request with `w` set to the number of copies, and its deadline. `None` if the database has one copy, or
    /// if one of them hangs.
    async fn everywhere(
        &self,
        db: &DbName,
        request: &Request,
        deadline: Deadline,
    ) -> Option<(Request, Deadline)> {
        let copies = self.copies();
        if self.settings().copies == Copies::Most || copies.has_respite() {
            return None;
        }
        let number = match copies.known(db) {
            Some(number) => number,
            None => {
                let soon = deadline.min(Deadline::after(deadline.remaining() / 5));
                // Without an answer the write itself goes on as usual, and shows what is wrong.
                let number = self.count_copies(db, soon).await.ok()?;
                copies.learn(db, number);
                number
            }
        };
        let by = deadline.min(Deadline::after(PATIENCE));
        (number > 1).then(|| (request.clone().with_query("w", number), by))
    }

    async fn count_copies(&self, db: &DbName, deadline: Deadline) -> Result<u32, Error> {
        let request = Request::read(Method::GET, Path::db(db), Target::Database);
        Ok(self.send_whole(&request, deadline).await?.json::<About>()?.copies())
    }
}
