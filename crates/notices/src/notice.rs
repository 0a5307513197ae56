//! One change of a document as Kazoo tells it: the routing key, and the payload member by member. It knows
//! neither stores nor brokers.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use datastore::{DbName, DocId, Document, Rev, random_hex};
use kazoo::{AccountId, is_deleted, matches_account_raw, member, term};
use serde_json::{Map, Value};

/// The longest routing key that AMQP can carry, in bytes.
pub(crate) const MAX_ROUTING_KEY: usize = 255;

/// What Kazoo's data layer calls itself in its notices.
const APP: (&str, &str) = ("datamgr", "4.0.0");

/// The members of a document that its notice depends on.
const MEMBERS: [&str; 5] =
    [member::TYPE, member::CREATED, member::MODIFIED, member::ACCOUNT_ID, member::DELETED];

/// What a notice takes from a document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Facts(Map<String, Value>);

impl Facts {
    /// The facts in a document's members.
    pub(crate) fn of(members: &Map<String, Value>) -> Self {
        let found = MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), members.get(*name)?.clone())));
        Self(found.collect())
    }

    /// The facts in a stored document. Only the members that count are parsed.
    pub(crate) fn of_document(document: &Document) -> datastore::Result<Self> {
        document.parse_members(|name| MEMBERS.contains(&name)).map(Self)
    }

    /// The members, to keep them.
    pub(crate) fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// Whether these are the facts of a group. A document without a type counts as one, as in crossbar.
    pub(crate) fn may_be_of_group(&self) -> bool {
        kazoo::Kind::Group.may_be_kind_of(&self.0)
    }

    /// The document's type.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.0.get(member::TYPE)?.as_str().filter(|kind| !kind.is_empty())
    }

    pub(crate) fn is_soft_deleted(&self) -> bool {
        is_deleted(&self.0)
    }

    /// A time of the document. Kazoo leaves out what it takes for empty.
    fn time(&self, name: &str) -> Option<i64> {
        let time = self.0.get(name).filter(|time| !term::is_empty(time))?;
        i64::try_from(term::to_integer(time)?).ok()
    }

    /// The account: the document's own if Kazoo takes it for an account id, else that of the database.
    fn account_id(&self, db: &DbName) -> Option<String> {
        let own = self.0.get(member::ACCOUNT_ID).and_then(Value::as_str).filter(|id| matches_account_raw(id));
        own.map(str::to_owned).or_else(|| Some(AccountId::of_db(db)?.as_str().to_owned()))
    }
}

/// What happened to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Created,
    Edited,
    Deleted,
}

impl Event {
    /// The event of a save. Kazoo calls a document new that had no revision before.
    pub(crate) fn of_save(is_new: bool, facts: &Facts) -> Self {
        match (facts.is_soft_deleted(), is_new) {
            (true, _) => Self::Deleted,
            (false, true) => Self::Created,
            (false, false) => Self::Edited,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Created => "doc_created",
            Self::Edited => "doc_edited",
            Self::Deleted => "doc_deleted",
        }
    }
}

/// A change of a document.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    rev: Rev,
    event: Event,
    is_soft_deleted: bool,
    kind: Option<String>,
    created: Option<i64>,
    modified: Option<i64>,
    account_id: Option<String>,
}

/// A document: its database and its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DocKey {
    pub(crate) db: DbName,
    pub(crate) id: DocId,
}

impl Notice {
    /// The notice of a revision. `facts` are those of the document, or of the one that was deleted.
    pub(crate) fn new(key: &DocKey, rev: Rev, event: Event, facts: &Facts) -> Self {
        Self {
            rev,
            event,
            is_soft_deleted: facts.is_soft_deleted(),
            kind: facts.kind().map(str::to_owned),
            created: facts.time(member::CREATED),
            modified: facts.time(member::MODIFIED),
            account_id: facts.account_id(&key.db),
        }
    }

    /// How often the document has been written.
    pub(crate) fn generation(&self) -> u64 {
        self.rev.generation()
    }

    /// About how much memory the notice takes, in bytes, without its key.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [Some(self.rev.as_str()), self.kind.as_deref(), self.account_id.as_deref()];
        texts.into_iter().flatten().map(str::len).sum::<usize>().saturating_add(size_of::<Self>())
    }

    /// The routing key. Kazoo writes `undefined` for a missing type.
    pub(crate) fn routing_key(&self, key: &DocKey) -> String {
        let kind = self.kind.as_deref().unwrap_or("undefined");
        let mut text = format!("{}.{}.{kind}.", self.event.name(), key.db.encoded());
        for byte in key.id.as_str().bytes() {
            match byte {
                b' ' => text.push('+'),
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'~' | b'_' | b'-' => text.push(char::from(byte)),
                // Writing into a string never fails.
                _ => drop(write!(text, "%{byte:02X}")),
            }
        }
        text
    }

    /// The message for the broker, from a node of this name.
    pub(crate) fn message(&self, key: &DocKey, node: &str) -> Message {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Message {
            routing_key: self.routing_key(key),
            payload: self.payload(key, node, &random_hex()),
            timestamp_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// The payload in Kazoo's order. Kazoo swaps the two dates.
    fn payload(&self, key: &DocKey, node: &str, message_id: &str) -> String {
        let text = |text: &str| Some(Value::from(text));
        let members = [
            ("Origin-Cache", text("kazoo_data_cache")),
            ("Type", self.kind.as_deref().map(Value::from)),
            ("Rev", text(self.rev.as_str())),
            ("Is-Soft-Deleted", Some(Value::from(self.is_soft_deleted))),
            ("Date-Modified", self.created.map(Value::from)),
            ("Date-Created", self.modified.map(Value::from)),
            ("Account-ID", self.account_id.as_deref().map(Value::from)),
            ("Database", Some(Value::from(key.db.encoded()))),
            ("ID", text(key.id.as_str())),
            ("Node", text(node)),
            ("Msg-ID", text(message_id)),
            ("Event-Name", text(self.event.name())),
            ("Event-Category", text("configuration")),
            ("App-Version", text(APP.1)),
            ("App-Name", text(APP.0)),
        ];
        let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(members.collect()).to_string()
    }
}

/// A notice as the broker gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The routing key in the exchange `configuration`.
    pub routing_key: String,
    /// The payload, which is JSON.
    pub payload: String,
    /// The property `timestamp`, in microseconds since 1970 as Kazoo's.
    pub timestamp_us: u64,
}
