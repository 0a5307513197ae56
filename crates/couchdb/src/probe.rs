//! Finds out whether nodes are well: those that are down, and those that keep a request waiting. A node that is only
//! slow still answers a simple question.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use datastore::Deadline;
use reqwest::Method;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use crate::client::{Client, Way};
use crate::error::{Call, Error, Target};
use crate::nodes::Node;
use crate::reply::Reply;
use crate::request::{Path, Request};

/// How long a node may take to say whether it is well.
const PATIENCE: Duration = Duration::from_secs(1);

/// A node that keeps a request waiting for so long is asked, and again after as long.
const SUSPICION: Duration = Duration::from_secs(1);

/// What a server says of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Version {
    /// CouchDB's version, such as `3.4.3`. Old forks name the one that they come from.
    pub version: String,
    /// The version of BigCouch, if it is one.
    #[serde(default)]
    pub bigcouch: Option<String>,
}

impl Client {
    /// The version of each node, with the node's address.
    ///
    /// ```no_run
    /// # async fn example(client: couchdb::Client, by: datastore::Deadline) {
    /// use couchdb::Version;
    ///
    /// for (address, version) in client.versions(by).await {
    ///     match version {
    ///         Ok(Version { version, bigcouch: None }) => println!("{address}: CouchDB {version}"),
    ///         Ok(Version { bigcouch: Some(version), .. }) => println!("{address}: BigCouch {version}"),
    ///         Err(error) => println!("{address}: {error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn versions(&self, deadline: Deadline) -> Vec<(String, Result<Version, Error>)> {
        self.of_each_node(|node| self.ask(node, deadline)).await
    }

    /// What the clock of each node says, as the header `Date` of an answer has it, with the node's address. `None` if
    /// the answer has no such header.
    pub async fn dates(&self, deadline: Deadline) -> Vec<(String, Result<Option<String>, Error>)> {
        self.of_each_node(|node| async move { Ok(self.greet(node, deadline).await?.date()) }).await
    }

    /// Asks all nodes at once. Each answer comes with the node's address.
    pub(crate) async fn of_each_node<'a, T, F>(
        &'a self,
        ask: impl Fn(&'a Node) -> F,
    ) -> Vec<(String, Result<T, Error>)>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answers = futures::future::join_all(self.nodes().iter().map(ask)).await;
        self.nodes().iter().map(|node| node.url.to_string()).zip(answers).collect()
    }

    async fn ask(&self, node: &Node, deadline: Deadline) -> Result<Version, Error> {
        let reply = self.greet(node, deadline).await?;
        reply.whole(deadline, self.settings().max_answer_bytes).await?.json()
    }

    async fn greet(&self, node: &Node, deadline: Deadline) -> Result<Reply, Error> {
        let request = Request::read(Method::GET, Path::server(""), Target::Database);
        self.attempt(Way::Fresh, node, &request, deadline).await
    }

    /// Asks nodes that are down whether they are well, in the background and with pauses between the questions.
    pub(crate) fn look_after_nodes(&self) {
        if self.nodes().is_alone() {
            return;
        }
        for number in self.nodes().due() {
            let client = self.clone();
            tokio::spawn(async move {
                if let Some(node) = client.nodes().get(number) {
                    client.probe(node).await;
                }
            });
        }
    }

    /// Waits for `answered`, unless the node turns out to be gone. Where there is no other node, nothing is gained by
    /// knowing that.
    pub(crate) async fn unless_gone<T>(
        &self,
        node: &Node,
        call: &Call,
        answered: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.nodes().is_alone() {
            return answered.await;
        }
        tokio::select! {
            biased;
            answer = answered => answer,
            gone = self.suspect(node, call) => gone.map(|never| match never {}),
        }
    }

    /// Ends with an error when the node is down.
    async fn suspect(&self, node: &Node, call: &Call) -> Result<Infallible, Error> {
        loop {
            sleep(SUSPICION).await;
            // Other requests may be asking.
            if !node.is_down() && node.may_be_asked() {
                self.probe(node).await;
            }
            if node.is_down() {
                return Err(Error::no_answer(call.clone(), "the node does not answer any more"));
            }
        }
    }

    /// Asks a node whether it is well. One that is being maintained is not.
    async fn probe(&self, node: &Node) {
        let request = Request::read(Method::GET, Path::server("_up"), Target::Database);
        // Without the password, which may be wrong.
        let (call, message) = (request.call(&node.url), request.build(&node.url, None));
        let asked =
            async { self.fresh().execute(message).await.map_err(|error| Error::transport(call, error)) };
        match timeout(PATIENCE, asked).await {
            // Some servers show this to nobody who is not an administrator.
            Ok(Ok(answer))
                if answer.status().is_success() || matches!(answer.status().as_u16(), 401 | 403) =>
            {
                node.note_well();
            }
            Ok(Ok(answer)) => node.note_unanswered(&format_args!("it answers /_up with {}", answer.status())),
            Ok(Err(error)) => node.note_unanswered(&error),
            Err(_) => node.note_unanswered(&"it is silent"),
        }
    }
}
