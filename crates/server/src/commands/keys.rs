//! The keys that sign tokens: `key list`, and the changes that make a new one and end an old one.

use auth::keys::{self, Rotated, StoredKey};
use datastore::{Backend, DocId, StoreError};
use jiff::Timestamp;
use kazoo::Time;

use super::changes::{self, BesideKazoo};
use super::{deadline, store_failure, table, with_store};
use crate::arguments::KeyList;
use crate::failure::Failure;
use crate::release::{self, Finding};
use crate::stack::Opening;

/// How long servers may go on signing with a key after another one was put in its place, in seconds.
const MARGIN: i64 = 60;

pub(crate) fn list(arguments: &KeyList) -> Result<(), Failure> {
    with_store(&arguments.store, Opening::Read, |store| async move {
        let failure = store_failure("the keys could not be listed");
        let stored = keys::list(&*store, deadline()).await.map_err(&failure)?;
        let longest = keys::longest_lifetime(&*store, &deadline).await.map_err(&failure)?;
        let rows = stored.iter().map(|key| {
            let signs = if key.signs { "yes" } else { "no" };
            let made = key.made.map(written).unwrap_or_default();
            let end = if key.signs { String::new() } else { End::of(key, longest).to_string() };
            [key.id.to_string(), signs.to_owned(), made, end]
        });
        table::print(["id", "signs", "made", "its tokens end"], &rows.collect::<Vec<_>>())
    })
}

/// Makes a new key, which signs from now on. Answers the lines to print.
pub(super) async fn rotate_in(
    store: &dyn Backend,
    beside_kazoo: BesideKazoo,
) -> Result<Vec<String>, Failure> {
    let is_kazoos = check_kazoo(store, beside_kazoo, "Kazoo's nodes go on signing with the old key").await?;
    let failure = store_failure("the key was not changed");
    let longest = keys::longest_lifetime(store, &deadline).await.map_err(&failure)?;
    let rotated = keys::rotate(store, deadline()).await.map_err(|error| match error {
        StoreError::Missing(_) => Failure::setup(
            "the store has no key yet, because nothing is set up in it: `crossbar-groups account create` makes one",
        ),
        StoreError::Conflict(_) => Failure::run("somebody else has changed system_config/auth: try again"),
        error => failure(error),
    })?;
    let Rotated { new, old, other_sections } = rotated;
    let mut lines = vec![format!("new tokens are signed with the key {new}")];
    if let Some(old) = old {
        let end = match longest {
            Some(seconds) => {
                format!("at {}", written(Time::now().plus_seconds(seconds.saturating_add(MARGIN))))
            }
            None => "never, since some logins have no expiry".to_owned(),
        };
        lines.push(format!(
            "the tokens of the key {old} are good until they expire, the last one {end}; then run `crossbar-groups \
             key retire {old}`"
        ));
    }
    for section in other_sections {
        lines.push(changes::warning(&format!(
            "the section {section} of system_config/auth names a key of its own, so servers with this section go on \
             signing with that one"
        )));
    }
    if is_kazoos {
        lines.push(changes::warning(
            "Kazoo's nodes go on signing with the old key until they read system_config/auth again: run `sup \
             kapps_config flush auth` on each of them before you retire the old key",
        ));
    }
    Ok(lines)
}

/// The end of a key.
pub(super) struct Retire<'a> {
    pub(super) key: &'a str,
    /// Whether tokens that are still good may end.
    pub(super) ends_tokens: bool,
}

/// Deletes a key that signs no more. Answers a line that says so.
pub(super) async fn retire_in(
    store: &dyn Backend,
    retire: &Retire<'_>,
    beside_kazoo: BesideKazoo,
) -> Result<String, Failure> {
    check_kazoo(store, beside_kazoo, "Kazoo's nodes may still sign with the key").await?;
    let failure = store_failure("the key was not retired");
    let &Retire { key: named, ends_tokens } = retire;
    let id = DocId::parse(named).map_err(|_| no_key(named))?;
    let stored = keys::list(store, deadline()).await.map_err(&failure)?;
    if let Some(key) = stored.iter().find(|key| key.id == id) {
        if key.signs {
            return Err(Failure::setup(format!(
                "new tokens are signed with the key {id}: run `crossbar-groups key rotate` first"
            )));
        }
        let longest = keys::longest_lifetime(store, &deadline).await.map_err(&failure)?;
        if !ends_tokens {
            End::of(key, longest).check(&id)?;
        }
    }
    match keys::retire(store, &id, deadline()).await {
        Ok(()) => Ok(format!("the key {id} is gone; its tokens are refused within a minute")),
        Err(StoreError::Deleted(_)) => Ok(format!("the key {id} is gone already")),
        Err(error) if error.is_not_found() => Err(no_key(named)),
        Err(error) => Err(failure(error)),
    }
}

fn no_key(named: &str) -> Failure {
    Failure::setup(format!("there is no key {named:?}: `crossbar-groups key list` lists them"))
}

/// When the last token of a key expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    At(Time),
    Never,
    Unknown,
}

impl End {
    /// The end of the tokens that logins have made. `longest` is their longest lifetime in seconds.
    fn of(key: &StoredKey, longest: Option<i64>) -> Self {
        match (longest, key.replaced) {
            (None, _) => Self::Never,
            (Some(_), None) => Self::Unknown,
            (Some(longest), Some(at)) => Self::At(at.plus_seconds(longest.saturating_add(MARGIN))),
        }
    }

    /// Refuses to end tokens that may be good.
    fn check(self, id: &DocId) -> Result<(), Failure> {
        let until = match self {
            Self::At(end) if end <= Time::now() => return Ok(()),
            Self::At(end) => {
                format!("tokens of the key {id} are good until {}: wait until then", written(end))
            }
            Self::Never => format!("tokens of the key {id} may never expire, as some logins have no expiry"),
            Self::Unknown => format!("nobody knows when the key {id} signed its last token"),
        };
        Err(Failure::setup(format!("{until}; --now ends them at once")))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(end) => f.write_str(&written(*end)),
            Self::Never => f.write_str("never"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// A time as people and programs read it.
fn written(time: Time) -> String {
    Timestamp::from_second(time.unix_seconds()).map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

/// Whether a Kazoo uses the store. Then the change is refused, unless the operator wants it: `why` says what happens.
async fn check_kazoo(store: &dyn Backend, beside_kazoo: BesideKazoo, why: &str) -> Result<bool, Failure> {
    let failure = store_failure("whether a Kazoo uses the store was not found out");
    let finding = release::find(store, deadline()).await.map_err(failure)?;
    match finding {
        Finding::NoKazoo => Ok(false),
        _ if beside_kazoo == BesideKazoo::GoesOn => Ok(true),
        _ => Err(Failure::setup(format!(
            "a Kazoo uses this store, and {why}: read \"Signing keys\" in docs/operations.md, and add --shared if you \
             want this"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{DocId, End, StoredKey, Time};

    #[test]
    fn tokens_end_when_the_last_one_has_expired() {
        let id = DocId::parse("k").unwrap();
        let replaced = |at| StoredKey { id: id.clone(), signs: false, made: None, replaced: at };
        let (now, hour) = (Time::now(), 3600);
        let ago = |seconds: i64| Some(now.plus_seconds(-seconds));
        for (at, longest, refusal) in [
            (ago(hour + 61), Some(hour), None),
            (ago(hour), Some(hour), Some("are good until 20")),
            (ago(hour * 24), Some(hour * 48), Some("are good until 20")),
            (ago(hour * 24), None, Some("may never expire")),
            (None, Some(hour), Some("nobody knows")),
        ] {
            let refused = End::of(&replaced(at), longest).check(&id).err().map(|failure| failure.to_string());
            match refusal {
                None => assert_eq!(refused, None),
                Some(words) => {
                    let refused = refused.unwrap();
                    assert!(
                        refused.contains(words) && refused.ends_with("--now ends them at once"),
                        "{refused}"
                    );
                }
            }
        }
    }
}
