//! One group: create, read, replace, patch, delete.

use auth::AccountAccess;
use datastore::{Document, random_hex};
use groups::{Deletion, Draft, GroupsError, NewGroup, Saved, Scope, Stamp, public_text};
use serde_json::Value;

use super::{Call, location};
use crate::answer::{self, Answer, Success};
use crate::catalogue::Refusal;
use crate::csv;
use crate::exchange::Exchange;
use crate::stage::negotiation::Format;
use crate::stage::preconditions;
use crate::stage::route::Resource;

/// A request about one group, checked.
pub(crate) enum Prepared {
    New(NewGroup),
    Read(Document),
    Change(Draft),
    Removal(Document, Deletion),
}

impl Prepared {
    pub(super) fn etag(&self) -> Option<&str> {
        match self {
            Self::New(_) => None,
            Self::Read(document) | Self::Removal(document, _) => Some(document.rev().as_str()),
            Self::Change(draft) => Some(draft.base().as_str()),
        }
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::New(_))
    }
}

pub(super) async fn prepare(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
    data: Value,
) -> Result<Prepared, Refusal> {
    let groups = &exchange.app.groups;
    let scope = scope(exchange, access);
    if let Some(user_id) = &call.user_id {
        groups.check_user(&scope, user_id).await.map_err(while_identifying)?;
    }
    let Resource::Group(id) = &call.resource else {
        return Ok(Prepared::New(groups.prepare_new(data)?));
    };
    Ok(match call.verb.name.as_str() {
        "POST" => Prepared::Change(groups.prepare_replacement(&scope, id, data).await?),
        "PATCH" => Prepared::Change(groups.prepare_patch(&scope, id, data).await?),
        "DELETE" => {
            let is_soft = call.parameters.is_true_or("should_soft_delete", true);
            let deletion = if is_soft { Deletion::Soft } else { Deletion::Hard };
            Prepared::Removal(groups.fetch(&scope, id).await?, deletion)
        }
        _ => Prepared::Read(groups.fetch(&scope, id).await?),
    })
}

/// Only a superuser comes here without an account. There are no groups without one, but what is wrong
/// with the data of a new group is told first.
pub(super) fn refuse_without_account(exchange: &Exchange<'_>, call: &Call<'_>, data: Value) -> Refusal {
    if call.verb.name == "PUT"
        && let Err(error) = exchange.app.groups.prepare_new(data)
    {
        return error.into();
    }
    Refusal::MissingAccountId
}

pub(super) async fn carry_out(
    exchange: &Exchange<'_>,
    call: &Call<'_>,
    access: &AccountAccess,
    prepared: Prepared,
) -> Result<Answer, Refusal> {
    let groups = &exchange.app.groups;
    let scope = scope(exchange, access);
    match prepared {
        Prepared::New(group) => {
            let saved = groups.create(&scope, group).await?;
            let location = location(exchange, saved.id.as_str());
            Ok(answer::success(exchange, Success { location: Some(location), ..saved_as(201, &saved) }))
        }
        Prepared::Change(draft) => {
            let saved = groups.update(&scope, draft).await?;
            Ok(answer::success(exchange, saved_as(200, &saved)))
        }
        Prepared::Removal(document, deletion) => {
            let insists = preconditions::insists_on_revision(&exchange.incoming.headers);
            let removed = groups.remove(&scope, document, deletion, insists).await?;
            Ok(answer::success(exchange, removed_success(&removed)?))
        }
        Prepared::Read(document) => read(exchange, call, &document),
    }
}

fn read(exchange: &Exchange<'_>, call: &Call<'_>, document: &Document) -> Result<Answer, Refusal> {
    let data = public_text(document).map_err(Refusal::Store)?;
    if call.format == Format::Csv {
        let value = datastore::json::parse_stored_object(&data).unwrap_or_default();
        return Ok(answer::csv(exchange, csv::render(&Value::Object(value)), &csv_file_name(call, exchange)));
    }
    let revision = Some(document.rev().to_string());
    Ok(answer::success(exchange, Success { status: 200, data, revision, ..Success::default() }))
}

fn saved_as(status: u16, saved: &Saved) -> Success {
    let data = Value::Object(saved.public.clone()).to_string();
    Success { status, data, revision: Some(saved.rev.to_string()), ..Success::default() }
}

/// A deleted group as it last was, and marked; its revision is the one before the deletion.
fn removed_success(removed: &Document) -> Result<Success, Refusal> {
    let mut data = public_text(removed).map_err(Refusal::Store)?;
    data.pop();
    data.push_str(",\"_read_only\":{\"deleted\":true}}");
    Ok(Success { status: 200, data, revision: Some(removed.rev().to_string()), ..Success::default() })
}

/// The name that CSV is to be saved under: the client's, without a path, or a new one.
pub(super) fn csv_file_name(call: &Call<'_>, exchange: &Exchange<'_>) -> String {
    let chosen = exchange.incoming.header("x-file-name").map(str::to_owned);
    let chosen =
        chosen.or_else(|| call.parameters.text("file_name")).or_else(|| call.parameters.text("filename"));
    let base_name = chosen.as_deref().and_then(|name| name.rsplit(['/', '\\']).next());
    // What would end the quotes or the header has no place in it.
    let safe: String =
        base_name.unwrap_or_default().chars().filter(|c| !c.is_control() && *c != '"').collect();
    if safe.is_empty() {
        format!("json_{}.csv", random_hex().chars().take(22).collect::<String>())
    } else {
        safe
    }
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

/// A failure while a user is looked for is worded like one of an account.
pub(super) fn while_identifying(error: GroupsError) -> Refusal {
    match error {
        GroupsError::Store(error) => Refusal::StoreWhileIdentifying(error),
        other => other.into(),
    }
}
