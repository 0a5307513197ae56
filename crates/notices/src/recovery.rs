//! Finishes the work of a server that was killed: an earlier run of this server, or another server. It sends notices of
//! all group documents that have changed since a mark, whoever wrote them.
//!
//! A cluster answers from one of its copies, which may lack the last writes. So the changes are read twice, some seconds
//! apart, before a mark may go.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use datastore::{Change, ChangesQuery, DbName, Deadline, DocId, LocalDocument, Result, Since, if_found};
use futures::TryStreamExt as _;
use kazoo::AccountId;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::left_behind::{Deletions, LeftBehind, is_done};
use crate::marked_db::{Hold, OwnHold, Recovering};
use crate::marks::PATIENCE;
use crate::notice::{DocKey, Event, Facts, Notice};
use crate::teller::Teller;
use crate::turns::{Turn, Turns};

/// How many changes are read at once.
const PAGE: u64 = 500;

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// Does something for each item in turn. The others go on if one fails. Answers what was achieved, and the first
/// failure.
async fn for_each<'a, I, T, F: Future<Output = Result<T>>>(
    turns: &'a Turns,
    items: Vec<I>,
    work: impl Fn(I, Turn<'a>) -> F,
) -> (Vec<T>, Result<()>) {
    let outcomes = turns.for_each(items, work).await;
    let (mut achieved, mut failure) = (Vec::new(), Ok(()));
    for outcome in outcomes {
        match outcome {
            Ok(outcome) => achieved.push(outcome),
            Err(error) if failure.is_ok() => failure = Err(error),
            Err(_) => {}
        }
    }
    (achieved, failure)
}

/// A recovery of one database: it reads the changes since a mark and puts their notices into the queue.
struct Replay {
    seq: String,
    /// The deletions that no change has shown yet.
    deletions: Deletions,
    /// The documents that were deleted as their notes say.
    deleted: HashSet<DocId>,
    /// The generation of each notice, by a hash of the id of the document: there may be many.
    told: HashMap<u64, u64>,
    hasher: RandomState,
    /// Keeps the database in memory.
    hold: OwnHold,
    _recovering: Recovering,
}

impl Replay {
    fn new(hold: OwnHold, seq: String, deletions: Deletions) -> Self {
        let recovering = hold.db.recovering();
        let (deleted, told, hasher) = (HashSet::new(), HashMap::new(), RandomState::new());
        Self { seq, deletions, deleted, told, hasher, hold, _recovering: recovering }
    }

    /// The deletions that are known when the changes are read again.
    fn add(&mut self, mut deletions: Deletions) {
        deletions.retain(|id, _| !self.deleted.contains(id));
        self.deletions.extend(deletions);
    }

    /// The facts of a document that was about to be deleted, with the note.
    fn deletion_of(&mut self, id: &DocId) -> (Option<LocalDocument>, Option<Facts>) {
        let Some((note, facts)) = self.deletions.remove(id) else { return (None, None) };
        self.deleted.insert(id.clone());
        (Some(note), Some(facts))
    }

    /// Whether there is no notice yet of this revision or a later one.
    fn is_news(&mut self, id: &DocId, generation: u64) -> bool {
        let told = self.told.entry(self.hasher.hash_one(id)).or_default();
        let is_news = *told < generation;
        *told = generation.max(*told);
        is_news
    }
}

/// The notices that another server has left in a database, while they are sent.
struct Taken {
    replay: Replay,
    /// The mark and the notes.
    documents: Vec<LocalDocument>,
    /// Each notice has a clone. The receiver ends with the last one.
    keeps: mpsc::Sender<()>,
    all_gone: mpsc::Receiver<()>,
}

impl Teller {
    /// Sends the notices that an earlier run of this server has left, if it was killed.
    pub(crate) async fn recover(&self) -> Result<()> {
        let turns = &self.marks.turns;
        turns.call(async { self.prepare(soon()).await }).await?;
        if !self.marks.must_recover() {
            return Ok(());
        }
        if self.marks.is_earlier_done() {
            log::info!(
                "an earlier run of this server has sent all its notices and left marks: removing them now"
            );
        } else {
            log::info!(
                "an earlier run of this server was killed before its change notices were sent; sending them now"
            );
        }
        let dbs = self.account_dbs().await?;
        let (found, first_failure) = for_each(turns, dbs, |db, turn| self.begin_recovery(db, turn)).await;
        let found: Vec<_> = found.into_iter().flatten().collect();
        self.wait_for_copies(found.is_empty()).await;
        let (recovered, failure) =
            for_each(turns, found, |replay, turn| self.end_recovery(replay, turn)).await;
        first_failure.and(failure)?;
        self.marks.end_recovery();
        log::info!(accounts = recovered.len(); "the change notices that an earlier run had left are in the queue");
        Ok(())
    }

    async fn account_dbs(&self) -> Result<Vec<DbName>> {
        let dbs = self.marks.turns.call(async { self.marks.store.list_dbs(soon()).await }).await?;
        Ok(AccountId::with_database(&dbs).iter().map(AccountId::db).collect())
    }

    /// Waits until the copies of a cluster are likely to be the same.
    async fn wait_for_copies(&self, is_nothing_left: bool) {
        if let Some(pause) = self.second_look
            && !is_nothing_left
        {
            sleep(pause).await;
        }
    }

    /// A hold of a database of this server. A note goes with it.
    fn own_hold(&self, db: &DbName, note: Option<LocalDocument>) -> Hold {
        let mut hold = self.marks.hold(db);
        hold.note = note;
        Hold::Own(hold)
    }

    /// Sends notices of the changes since the mark that an earlier run has left. `None` if there is no mark.
    async fn begin_recovery(&self, db: DbName, mut turn: Turn<'_>) -> Result<Option<Replay>> {
        if self.marks.is_earlier_done() {
            self.remove_left(&db, &self.marks.roster.node, None).await?;
            return Ok(None);
        }
        let hold = self.marks.hold(&db);
        // The database may have been deleted meanwhile.
        let adopted = if_found(self.marks.adopt(&hold.db, soon()).await)?;
        let Some(left) = adopted.flatten() else { return Ok(None) };
        let (seq, deletions) = self.of_earlier_run(left);
        let mut replay = Replay::new(hold, seq, deletions);
        self.replay(&mut replay, &|note| self.own_hold(&db, note), &mut turn).await?;
        Ok(Some(replay))
    }

    /// Sends notices of the changes that the first copy did not have. Then the mark is as good as a new one.
    async fn end_recovery(&self, mut replay: Replay, mut turn: Turn<'_>) -> Result<()> {
        let db = replay.hold.db.name.clone();
        if self.second_look.is_some() {
            let found = if_found(self.marks.left_behind(&replay.hold.db, soon()).await)?;
            let Some(left) = found else { return Ok(()) };
            replay.add(left.map(|left| self.of_earlier_run(left).1).unwrap_or_default());
            self.replay(&mut replay, &|note| self.own_hold(&db, note), &mut turn).await?;
        }
        // The notes of deletions that were not made.
        for (_, (note, _)) in replay.deletions.drain() {
            drop(self.own_hold(&db, Some(note)));
        }
        self.marks.recovered(&replay.hold.db).await;
        Ok(())
    }

    /// The sequence and the deletions of an earlier run. This run may be deleting documents, too.
    fn of_earlier_run(&self, left: LeftBehind) -> (String, Deletions) {
        let LeftBehind { seq, mut deletions, .. } = left;
        deletions.retain(|_, (note, _)| !self.marks.roster.is_own(note));
        (seq, deletions)
    }

    /// Finishes the work of another server that is gone. `entry` is its last one in the roster.
    pub(crate) async fn take_over(&self, node: String, entry: LocalDocument) -> Result<()> {
        let turns = &self.marks.turns;
        let dbs = self.account_dbs().await?;
        if is_done(&entry) {
            self.claim(&node).await?;
            for_each(turns, dbs, |db, turn| {
                let (node, entry) = (&node, &entry);
                async move {
                    let _turn = turn;
                    self.remove_left(&db, node, Some(entry)).await
                }
            })
            .await
            .1?;
            return self.remove_entry(&node, &entry).await.map(drop);
        }
        log::warn!(node = node.as_str(); "another server is gone and has left change notices unsent; sending them now");
        let (found, first_failure) =
            for_each(turns, dbs, |db, turn| self.begin_take_over(db, &node, turn)).await;
        let found: Vec<_> = found.into_iter().flatten().collect();
        self.wait_for_copies(found.is_empty()).await;
        // A server that comes back sees this claim, and writes its marks again.
        self.claim(&node).await?;
        let end = |taken, turn| self.end_take_over(taken, (&node, &entry), turn);
        let (ended, failure) = for_each(turns, found, end).await;
        first_failure.and(failure)?;
        let is_gone = ended.into_iter().all(|is_gone| is_gone) && self.remove_entry(&node, &entry).await?;
        if is_gone {
            log::info!(node = node.as_str(); "the change notices of the server that is gone are sent");
        } else {
            log::info!(node = node.as_str(); "the server that was gone is back, and keeps its marks");
        }
        Ok(())
    }

    /// Says that this server is about to remove the marks of another one.
    async fn claim(&self, node: &str) -> Result<()> {
        let claim = async { self.marks.roster.claim(node, soon()).await };
        self.marks.turns.call(claim).await
    }

    /// Removes the entry of a server that is gone, if it has not come back.
    async fn remove_entry(&self, node: &str, entry: &LocalDocument) -> Result<bool> {
        let remove = async { self.marks.roster.remove(node, entry, soon()).await };
        self.marks.turns.call(remove).await
    }

    /// Removes what a server has left that had sent all notices. What this run has written stays.
    async fn remove_left(&self, db: &DbName, node: &str, entry: Option<&LocalDocument>) -> Result<()> {
        let found = if_found(LeftBehind::read(&*self.marks.store, db, node, soon()).await)?;
        let Some(mut left) = found.flatten() else { return Ok(()) };
        left.documents.retain(|document| !self.marks.roster.is_own(document));
        self.remove_documents(db, left.documents, node, entry).await.map(drop)
    }

    async fn begin_take_over(&self, db: DbName, node: &str, mut turn: Turn<'_>) -> Result<Option<Taken>> {
        let found = if_found(LeftBehind::read(&*self.marks.store, &db, node, soon()).await)?;
        let Some(LeftBehind { seq, deletions, documents }) = found.flatten() else { return Ok(None) };
        let (keeps, all_gone) = mpsc::channel(1);
        let mut replay = Replay::new(self.marks.hold(&db), seq, deletions);
        self.replay(&mut replay, &|_| Hold::Other(keeps.clone()), &mut turn).await?;
        Ok(Some(Taken { replay, documents, keeps, all_gone }))
    }

    /// Removes the mark and the notes once all notices are sent, unless the server has come back. Answers whether it is
    /// still gone.
    async fn end_take_over(
        &self,
        taken: Taken,
        (node, entry): (&str, &LocalDocument),
        mut turn: Turn<'_>,
    ) -> Result<bool> {
        let Taken { mut replay, mut documents, keeps, mut all_gone } = taken;
        let db = replay.hold.db.name.clone();
        if self.second_look.is_some() {
            let found = if_found(LeftBehind::read(&*self.marks.store, &db, node, soon()).await)?;
            let Some(left) = found else { return Ok(true) };
            if let Some(left) = left {
                replay.add(left.deletions);
                let is_new = |found: &LocalDocument| documents.iter().all(|other| other.name != found.name);
                let more: Vec<_> = left.documents.into_iter().filter(is_new).collect();
                // The mark stays the last.
                documents.splice(0..0, more);
            }
            self.replay(&mut replay, &|_| Hold::Other(keeps.clone()), &mut turn).await?;
        }
        drop((keeps, replay));
        // Nothing is ever sent: the end of the channel is the end of the last notice.
        let _ = turn.pause(all_gone.recv()).await;
        self.remove_documents(&db, documents, node, Some(entry)).await
    }

    /// Removes local documents of a server that nobody has written since. `entry` is the last one in the roster of a
    /// server that is gone: if it has come back, the answer is `false`, and the rest stays.
    async fn remove_documents(
        &self,
        db: &DbName,
        documents: Vec<LocalDocument>,
        node: &str,
        entry: Option<&LocalDocument>,
    ) -> Result<bool> {
        for document in documents {
            if entry.is_some() && self.marks.roster.entry(node, soon()).await?.as_ref() != entry {
                return Ok(false);
            }
            let is_same = |found: &LocalDocument| *found == document;
            if_found(self.marks.store.delete_local_if(db, &document.name, &is_same, soon()).await)?;
        }
        Ok(true)
    }

    /// Puts notices of the changes of a database since a mark into the queue, without those that were there before.
    async fn replay(
        &self,
        replay: &mut Replay,
        hold: &(dyn Fn(Option<LocalDocument>) -> Hold + Sync),
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        let (db, mut seq) = (Arc::clone(&replay.hold.db), replay.seq.clone());
        loop {
            turn.pause(self.queue.wait_for_room()).await;
            let since = Since::Seq(seq.clone());
            let query =
                ChangesQuery { since, limit: Some(PAGE), include_docs: true, ..ChangesQuery::default() };
            let mut changes = self.marks.store.changes(&db.name, query);
            let mut count = 0;
            while let Some(change) = changes.try_next().await? {
                count += 1;
                seq.clone_from(&change.seq);
                let (note, facts) = replay.deletion_of(&change.id);
                // The note ends with this hold, whether there is a notice or not.
                let hold = hold(note);
                let key = DocKey { db: db.name.clone(), id: change.id.clone() };
                if let Some(notice) = self.judge(&key, change, facts)?
                    && replay.is_news(&key.id, notice.generation())
                {
                    self.tell_found(&db, hold, Arc::new(key), notice);
                }
            }
            if count < PAGE {
                return Ok(());
            }
        }
    }

    /// The notice of a change, if it is one of a group. `was` are the facts of a document that this server, or
    /// the one whose work it finishes, was about to delete.
    fn judge(&self, key: &DocKey, change: Change, was: Option<Facts>) -> Result<Option<Notice>> {
        if !self.tells_of(&key.db, &key.id) {
            return Ok(None);
        }
        let (event, facts) = match (change.deleted, &change.doc) {
            (true, _) => match was {
                Some(facts) => (Event::Deleted, facts),
                // The program that has deleted it has sent a notice.
                None => return Ok(None),
            },
            (false, Some(document)) => {
                let facts = Facts::of_document(document)?;
                (Event::of_save(change.rev.generation() == 1, &facts), facts)
            }
            (false, None) => return Ok(None),
        };
        if !facts.may_be_of_group() || !self.tells_kind(facts.kind()) {
            return Ok(None);
        }
        Ok(Some(Notice::new(key, change.rev, event, &facts)))
    }
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
