//! One group: create, read, replace, patch, delete.

use std::future::Future;
use std::sync::Arc;

use auth::AccountAccess;
use datastore::{Document, Rev};
use futures::{FutureExt as _, future};
use groups::{
    Base, Change, Deletion, Edit, Groups, GroupsError, IfChanged, NewGroup, Removal, Saved, Scope, Stamp,
    StoredGroup, Turn,
};
use serde_json::Value;

use super::call::{Call, csv_file_name, location};
use crate::answer::{self, Answer, Data, Success, csv};
use crate::budget::Reservation;
use crate::catalogue::Refusal;
use crate::cost;
use crate::reading::Reading;
use crate::request::action::GroupAction;
use crate::request::exchange::Exchange;
use crate::request::format::Format;

/// The member that marks a deleted group in the answer to its deletion.
const DELETED: &str = r#""_read_only":{"deleted":true}"#;

/// A checked request about one group, with the access that it was checked with.
pub(crate) struct Prepared {
    access: AccountAccess,
    work: Work,
    /// The memory that the request held before it read the group.
    held: usize,
}

/// Whoever changes a stored group has its turn from before the group is read until the change is stored.
enum Work {
    Create(NewGroup),
    Read(StoredGroup),
    Change(Change, Turn),
    Delete(Removal, Turn),
}

impl Prepared {
    pub(super) fn etag(&self) -> Option<&str> {
        match &self.work {
            Work::Create(_) => None,
            Work::Read(group) | Work::Delete(Removal { group, .. }, _) => Some(group.rev().as_str()),
            Work::Change(change, _) => Some(change.base().as_str()),
        }
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self.work, Work::Create(_))
    }
}

/// Refuses the request if the user in the path does not exist.
pub(super) async fn check_user(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
) -> Result<(), Refusal> {
    let Some(user_id) = call.user_id else { return Ok(()) };
    let scope = scope(exchange, access);
    let reading = Reading::new(&exchange.reservation, cost::PER_CHECKED_BYTE);
    let found = reading.meter().scope(exchange.app.groups.fetch_document(&scope, user_id)).await;
    let document = found.map_err(failed_to_identify)?;
    let checked = in_lane_if_large(exchange, document, |document| Groups::check_user(&document)).await?;
    checked.map_err(failed_to_identify)
}

/// crossbar has the same text for a failed look-up of a user and of an account.
fn failed_to_identify(error: GroupsError) -> Refusal {
    match error {
        GroupsError::Store(error) => Refusal::StoreWhileIdentifying(error),
        other => other.into(),
    }
}

/// Scans a document: a large one in the lane.
async fn in_lane_if_large<T: Send + 'static>(
    exchange: &Exchange<'_>,
    document: Document,
    scan: impl FnOnce(Document) -> T + Send + 'static,
) -> Result<T, Refusal> {
    if document.text().len() <= answer::LIGHT {
        return Ok(scan(document));
    }
    Ok(exchange.lane().run(async move { scan(document) }).await?)
}

/// Checks the data of a request about one group, and reads the group.
pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: AccountAccess,
    action: GroupAction<'_>,
    data: Value,
) -> Result<Prepared, Refusal> {
    let held = exchange.reservation.held();
    // The user and the group are read at the same time. If both are missing, crossbar tells of the user.
    let checked = check_user(exchange, call, &access);
    let work = prepare_work(exchange, call, &access, action, data).map(Ok);
    let ((), work) = future::try_join(checked, work).await?;
    Ok(Prepared { work: work?, access, held })
}

async fn prepare_work(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
    action: GroupAction<'_>,
    data: Value,
) -> Result<Work, Refusal> {
    let groups = &exchange.app.groups;
    let scope = &scope(exchange, access);
    let memory = Memory::of(exchange);
    if matches!(action, GroupAction::Create | GroupAction::Replace(_) | GroupAction::Patch(_)) {
        groups.refresh_schema(exchange.deadline).await?;
    }
    Ok(match action {
        GroupAction::Create => Work::Create(groups.prepare_new(data)?),
        GroupAction::Read(id) => {
            let document = memory.read(|| groups.fetch_document(scope, id), cost_of_reading).await?;
            Work::Read(in_lane_if_large(exchange, document, StoredGroup::of).await??)
        }
        GroupAction::Replace(id) => prepare_change(exchange, scope, id, groups.replacement(data)?).await?,
        GroupAction::Patch(id) => prepare_change(exchange, scope, id, Edit::patch(data)).await?,
        GroupAction::Delete(id) => {
            let deletion = if call.parameters.is_soft_deletion { Deletion::Soft } else { Deletion::Hard };
            let turn = turn(exchange, scope, id).await?;
            let group = memory.read(|| groups.fetch(scope, id), cost_of_deleting).await?;
            Work::Delete(Removal { group, deletion }, turn)
        }
    })
}

/// Waits until no other request changes the group.
async fn turn(exchange: &Exchange<'_>, scope: &Scope<'_>, id: &str) -> Result<Turn, Refusal> {
    Ok(exchange.reservation.idle_while(exchange.app.groups.turn(scope, id)).await??)
}

async fn prepare_change(
    exchange: &Exchange<'_>,
    scope: &Scope<'_>,
    id: &str,
    edit: Edit,
) -> Result<Work, Refusal> {
    let groups = &exchange.app.groups;
    let memory = Memory::of(exchange);
    let turn = turn(exchange, scope, id).await?;
    let base =
        memory.read(|| groups.fetch_base(scope, id), cost_of_changing(edit.takes_all_members())).await?;
    Ok(Work::Change(groups.prepare_change(base, edit)?, turn))
}

/// The memory for the document that a request reads.
#[derive(Clone, Copy)]
struct Memory<'a> {
    reservation: &'a Arc<Reservation>,
    /// What the request holds besides the document.
    held: usize,
}

impl<'a> Memory<'a> {
    /// The memory of a request that has not read the document yet.
    fn of(exchange: &'a Exchange<'_>) -> Self {
        Self { reservation: &exchange.reservation, held: exchange.reservation.held() }
    }

    /// Reads a document. The store asks for room before it reads a large one. What else the work takes is known only
    /// then, and a cached document was not read at all. If there is no room for that now, the document is dropped,
    /// and read again once there is.
    async fn read<T, F: Future<Output = Result<T, GroupsError>> + Send>(
        &self,
        read: impl Fn() -> F,
        cost: impl Fn(&T) -> usize,
    ) -> Result<T, Refusal> {
        let reading = Reading::new(self.reservation, cost::PER_DOCUMENT_BYTE);
        let document = reading.meter().scope(read()).await?;
        reading.keep();
        let wanted = cost(&document);
        if wanted <= answer::LIGHT {
            return Ok(document);
        }
        let wanted = self.held.saturating_add(wanted);
        if self.reservation.try_grow_to(wanted) {
            return Ok(document);
        }
        drop(document);
        self.reservation.grow_to(wanted).await?;
        Ok(read().await?)
    }
}

fn cost_of_reading(document: &Document) -> usize {
    cost::of_document(document.text().len())
}

fn cost_of_deleting(group: &StoredGroup) -> usize {
    cost::of_change(group.document().text())
}

fn cost_of_changing(takes_all_members: bool) -> impl Fn(&Base) -> usize {
    let cost = if takes_all_members { cost_of_patching } else { cost_of_reading };
    move |base| base.document().map_or(0, cost)
}

fn cost_of_patching(document: &Document) -> usize {
    cost::of_change(document.text())
}

/// Refuses a superuser's request whose path has no account. If the request is to create a group, faults in
/// its data are reported first.
pub(super) fn refuse_without_account(
    exchange: &Exchange<'_>,
    action: GroupAction<'_>,
    data: Value,
) -> Refusal {
    if action == GroupAction::Create
        && let Err(error) = exchange.app.groups.prepare_new(data)
    {
        return error.into();
    }
    Refusal::MissingAccountId
}

pub(super) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    prepared: Prepared,
) -> Result<Answer, Refusal> {
    let groups = &exchange.app.groups;
    let Prepared { access, work, held } = prepared;
    let scope = scope(exchange, &access);
    let memory = Memory { reservation: &exchange.reservation, held };
    match work {
        Work::Create(group) => {
            let turn = turn(exchange, &scope, group.id().as_str()).await?;
            let saved = groups.create(&scope, group).await?;
            drop(turn);
            let location = location(exchange, saved.id.as_str());
            answer::success(exchange, Success { location: Some(location), ..saved_as(201, saved) }).await
        }
        Work::Change(change, turn) => {
            let (id, cost) = (change.id().to_string(), cost_of_changing(change.takes_all_members()));
            let reread = || memory.read(|| groups.fetch_base(&scope, &id), &cost);
            let saved = groups.update(&scope, change, if_changed(exchange, reread)).await?;
            drop(turn);
            answer::success(exchange, saved_as(200, saved)).await
        }
        Work::Delete(removal, turn) => {
            let id = removal.group.document().id().to_string();
            let reread = || memory.read(|| groups.fetch(&scope, &id), cost_of_deleting);
            let removed = groups.remove(&scope, removal, if_changed(exchange, reread)).await?;
            drop(turn);
            answer::success(exchange, found(&removed.rev, removed.public_members, Some(DELETED))).await
        }
        Work::Read(group) if call.format == Format::Csv => {
            let formulas = csv::Formulas::of(exchange.app.live());
            let rendering = async move {
                let object = group.public_object().map_err(Refusal::Store)?;
                csv::render(&[Value::Object(object)], formulas)
            };
            let csv = exchange.lane().run(rendering).await??;
            Ok(answer::as_csv(exchange, csv, &csv_file_name(call)))
        }
        Work::Read(group) => {
            let rev = group.rev().clone();
            answer::success(exchange, found(&rev, group.into_public_members(), None)).await
        }
    }
}

/// A client that names a precondition has judged one revision, so the server applies its change to no other.
fn if_changed<R>(exchange: &Exchange<'_>, reread: R) -> IfChanged<R> {
    if exchange.incoming.has_precondition() { IfChanged::Refuse } else { IfChanged::Reread(reread) }
}

fn saved_as(status: u16, saved: Saved) -> Success {
    let data = Data::Object { members: saved.public_members, last: None };
    Success { revision: Some(saved.rev.to_string()), ..Success::new(status, data) }
}

/// A stored group. A deleted group is shown with its last content and the revision before the deletion.
fn found(rev: &Rev, members: String, last: Option<&'static str>) -> Success {
    Success { revision: Some(rev.to_string()), ..Success::new(200, Data::Object { members, last }) }
}

pub(super) fn scope<'a>(exchange: &'a Exchange<'_>, access: &'a AccountAccess) -> Scope<'a> {
    let stamp = Stamp { access, request_id: &exchange.request_id, now: exchange.received_at };
    Scope { stamp, deadline: exchange.deadline }
}

impl From<GroupsError> for Refusal {
    fn from(error: GroupsError) -> Self {
        match error {
            GroupsError::Invalid(violations) => Self::Validation(violations),
            GroupsError::NotFound { id } => Self::BadIdentifier(id),
            GroupsError::Conflict => Self::Conflict,
            GroupsError::Store(error) => Self::Store(error),
        }
    }
}
