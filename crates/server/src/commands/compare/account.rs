//! The requests for one account: its listing whole, in pages and with filters, each group, the groups of each user
//! who is in one, and a group that is not there.

use std::collections::{BTreeMap, BTreeSet};

use comparison::Difference;
use datastore::{SEGMENT, random_hex};
use kazoo::AccountId;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::pair::{Answers, Compared, Pair, Verdict};
use super::tally::Tally;
use crate::failure::Failure;

/// The pages that a listing is read in.
const PAGES: usize = 3;

/// The users of an account whose groups are asked for.
const MOST_USERS: usize = 1_000;

/// How many differences of an account the report shows. It counts the others.
const MOST_TOLD: usize = 100;

/// Filters that every crossbar knows, beside one for a name.
const FILTERS: [&str; 4] =
    ["has_key=music_on_hold.media_id", "key_missing=flags", "has_value=name", "created_from=1"];

/// What came of an account.
pub(super) struct Examined {
    pub(super) account: AccountId,
    pub(super) differences: Vec<Told>,
    pub(super) tally: Tally,
}

/// A request whose answers are not known to be the same.
pub(super) struct Told {
    pub(super) target: String,
    pub(super) what: Outcome,
}

/// What came of such a request.
pub(super) enum Outcome {
    Differs(Difference),
    /// Why the answers were not compared.
    NotCompared(String),
}

/// Compares an account.
pub(super) async fn look(pair: &Pair, account: &AccountId) -> Result<Examined, Failure> {
    let tally = Tally { accounts: 1, ..Tally::default() };
    let mut look =
        Look { pair, examined: Examined { account: account.clone(), differences: Vec::new(), tally } };
    let base = format!("/v2/accounts/{account}");
    let Some(groups) = look.listings(&format!("{base}/groups")).await? else { return Ok(look.examined) };
    let (mut users, mut left_out) = (BTreeSet::new(), false);
    for group in groups {
        let answers = look.ask(format!("{base}/groups/{}", part(&group))).await?;
        let found = answers.as_ref().and_then(Answers::body).map(users_in).unwrap_or_default();
        for user in found {
            if users.len() < MOST_USERS {
                users.insert(user);
            } else {
                left_out |= !users.contains(&user);
            }
        }
    }
    look.examined.tally.shortened += u64::from(left_out);
    for user in users {
        look.ask(format!("{base}/users/{}/groups", part(&user))).await?;
    }
    look.ask(format!("{base}/groups/{}", random_hex())).await?;
    Ok(look.examined)
}

struct Look<'a> {
    pair: &'a Pair,
    examined: Examined,
}

impl Look<'_> {
    /// Compares the listings. Answers the ids of the groups, or `None` if the account was not compared.
    async fn listings(&mut self, path: &str) -> Result<Option<Vec<String>>, Failure> {
        let whole = format!("{path}?paginate=false");
        let answers = self.ask(whole.clone()).await?;
        let Some(listing) = answers.as_ref().and_then(Answers::body).and_then(Listing::read) else {
            // Answers with different statuses, and those that are missing, are counted already.
            if let Some(status) = answers.as_ref().and_then(Answers::status) {
                self.note_refused(whole, status);
            }
            return Ok(None);
        };
        drop(answers);
        let rows = listing.data;
        let tally = &mut self.examined.tally;
        tally.listings += 1;
        tally.groups = tally.groups.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
        self.ask(path.to_owned()).await?;
        let page_size = rows.len().div_ceil(PAGES).max(1);
        let mut next = Some(String::new());
        for _ in 0..PAGES {
            let Some(start_key) = next.take() else { break };
            let start_key =
                if start_key.is_empty() { start_key } else { format!("&start_key={}", part(&start_key)) };
            let answers = self.ask(format!("{path}?page_size={page_size}{start_key}")).await?;
            let page = answers.as_ref().and_then(Answers::body).and_then(Listing::read);
            next = page.and_then(|page| page.next_start_key);
        }
        let name = rows.iter().find_map(|row| row.name.as_ref()?.as_str());
        let named = name.map(|name| format!("filter_name={}", part(name)));
        for filter in FILTERS.into_iter().map(str::to_owned).chain(named) {
            self.ask(format!("{path}?paginate=false&{filter}")).await?;
        }
        Ok(Some(rows.into_iter().map(|row| row.id).collect()))
    }

    /// Both servers refuse the listing of the account alike. That says nothing about its groups.
    fn note_refused(&mut self, target: String, status: u16) {
        let Examined { differences, tally, .. } = &mut self.examined;
        let why = match status {
            200 => "the answers of both servers are no listing".to_owned(),
            404 => "neither server knows this account (404)".to_owned(),
            status => format!("both servers refuse the listing of this account ({status})"),
        };
        tally.refused += 1;
        differences.push(Told { target, what: Outcome::NotCompared(why) });
    }

    /// Asks both servers, and takes note of what came of it.
    async fn ask(&mut self, target: String) -> Result<Option<Answers>, Failure> {
        let Compared { verdict, answers } = self.pair.ask(target.clone()).await?;
        let Examined { differences, tally, .. } = &mut self.examined;
        tally.requests += 1;
        if let Some(Answers { here, there }) = &answers {
            tally.here.note(here.took);
            tally.there.note(there.took);
        }
        let what = match verdict {
            Verdict::Same => {
                tally.same += 1;
                return Ok(answers);
            }
            Verdict::Differs(difference) => {
                tally.differs += 1;
                Outcome::Differs(difference)
            }
            Verdict::Unanswered(why) => {
                tally.unanswered += 1;
                Outcome::NotCompared(why)
            }
            Verdict::Unsettled => {
                tally.unsettled += 1;
                let why = "the answers differ in another place each time, so somebody writes there";
                Outcome::NotCompared(why.to_owned())
            }
        };
        if differences.len() < MOST_TOLD {
            differences.push(Told { target, what });
        }
        Ok(answers)
    }
}

/// A listing.
#[derive(Deserialize)]
struct Listing {
    data: Vec<Row>,
    next_start_key: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    /// A stored group may have any value here.
    name: Option<Value>,
}

impl Listing {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// The users in a group.
fn users_in(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: Group<'a>,
    }
    #[derive(Deserialize)]
    struct Group<'a> {
        #[serde(borrow)]
        endpoints: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Member {
        #[serde(rename = "type")]
        kind: String,
    }
    let envelope: Option<Envelope<'_>> = serde_json::from_slice(body).ok();
    let endpoints = envelope.and_then(|envelope| envelope.data.endpoints);
    let members: Option<BTreeMap<String, &RawValue>> =
        endpoints.and_then(|endpoints| serde_json::from_str(endpoints.get()).ok());
    let is_user = |member: &RawValue| {
        serde_json::from_str(member.get()).is_ok_and(|member: Member| member.kind == "user")
    };
    let members = members.unwrap_or_default().into_iter();
    members.filter(|(_, member)| is_user(member)).map(|(id, _)| id).collect()
}

/// A text as a part of a path, or as a value in a query.
fn part(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::{Listing, part, users_in};

    #[test]
    fn what_is_asked_next_is_read_from_answers() {
        let listing =
            Listing::read(br#"{"data":[{"id":"a","x":1},{"id":"b","name":"B"}],"status":"success"}"#);
        let listing = listing.unwrap();
        assert_eq!(listing.data.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((&listing.data[1].name, listing.next_start_key), (&Some("B".into()), None));
        assert!(Listing::read(b"{\"data\":{}}").is_none());
        let group = br#"{"data":{"endpoints":{"u":{"type":"user"},"d":{"type":"device"},"x":null,"y":{}}}}"#;
        assert_eq!(users_in(group), ["u"]);
        for odd in [&b"{}"[..], b"{\"data\":{\"endpoints\":[]}}", b"no json"] {
            assert!(users_in(odd).is_empty());
        }
    }

    #[test]
    fn ids_and_names_are_escaped() {
        assert_eq!(part("a-b_c.d~e/f?g h+\u{e9}"), "a-b_c.d~e%2Ff%3Fg%20h%2B%C3%A9");
    }
}
