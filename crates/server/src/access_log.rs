//! The line of the log about each request. It shows the path without its query, and leaves out the parts of a
//! path where tokens stand. It knows no stage of the request.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Instant;

use datastore::json;

use crate::logging::{
    ACCESS, Importance, LogFormat, ServerLog, Stamp, one_line, quoted, server_log, shortened,
};
use crate::request::route::parts_before_tokens;

/// The longest path that a line shows, in bytes.
const MAX_PATH: usize = 512;

/// The longest method that a line shows, in bytes.
const MAX_METHOD: usize = 32;

/// A request that was answered, or whose client went away.
#[derive(Clone, Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) begun: Instant,
    pub(crate) method: Cow<'a, str>,
    /// The path, still escaped.
    pub(crate) path: Cow<'a, str>,
    /// The path with names in place of ids.
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    /// How many bytes the body of the answer has.
    pub(crate) bytes: u64,
    /// Whether all of the answer was handed to the connection.
    pub(crate) is_complete: bool,
    /// The client, behind the proxies that are trusted.
    pub(crate) address: Option<IpAddr>,
    pub(crate) account_id: Option<Cow<'a, str>>,
    pub(crate) user_id: Option<Cow<'a, str>>,
    pub(crate) request_id: Cow<'a, str>,
}

impl Visit<'_> {
    /// A visit that outlives its request.
    pub(crate) fn into_owned(self) -> Visit<'static> {
        let owned = |text: Cow<'_, str>| -> Cow<'static, str> { Cow::Owned(text.into_owned()) };
        Visit {
            begun: self.begun,
            method: owned(self.method),
            path: owned(self.path),
            route: self.route,
            status: self.status,
            bytes: self.bytes,
            is_complete: self.is_complete,
            address: self.address,
            account_id: self.account_id.map(owned),
            user_id: self.user_id.map(owned),
            request_id: owned(self.request_id),
        }
    }
}

/// Writes lines about requests.
#[derive(Clone, Copy)]
pub(crate) struct AccessLog(&'static ServerLog);

impl AccessLog {
    /// The access log. `None` if there is no server's log.
    pub(crate) fn start() -> Option<Self> {
        server_log().map(Self)
    }

    /// Writes the line about a request, unless the level of the log leaves it out.
    pub(crate) fn write(self, visit: &Visit<'_>) {
        if !self.0.logs_requests() {
            return;
        }
        thread_local! {
            static LINE: RefCell<String> = const { RefCell::new(String::new()) };
        }
        LINE.with_borrow_mut(|line| {
            line.clear();
            write_line(line, self.0.format, visit);
            self.0.queue.push(line.as_bytes(), Importance::Request);
        });
    }
}

/// Appends the line about a request.
fn write_line(line: &mut String, format: LogFormat, visit: &Visit<'_>) {
    let micros = visit.begun.elapsed().as_micros();
    let (ms, thousandths) = (micros / 1_000, micros % 1_000);
    // Writing into a text does not fail.
    let _ = match format {
        LogFormat::Text => write!(line, "[{Stamp} INFO  {ACCESS}] answered").and_then(|()| {
            each_field(visit, (ms, thousandths), |name, field| match field {
                Field::Text(text) => push_all(line, [" ", name, "=", &quoted(text)]),
                Field::Plain(plain) => write!(line, " {name}={plain}"),
            })?;
            line.write_char('\n')
        }),
        LogFormat::Json => {
            let begin = "\"level\":\"info\",\"target\":\"access\",\"message\":\"answered\"";
            write!(line, "{{\"time\":\"{Stamp}\",{begin}").and_then(|()| {
                each_field(visit, (ms, thousandths), |name, field| match field {
                    Field::Text(text) => push_all(line, [",\"", name, "\":\"", &json::escape(text), "\""]),
                    Field::Plain(plain) => write!(line, ",\"{name}\":{plain}"),
                })?;
                line.write_str("}\n")
            })
        }
        LogFormat::Kazoo => write_as_kazoo(line, visit, ms),
    };
}

/// Appends texts. It is much faster than `write!`, and does not fail either.
fn push_all<const N: usize>(line: &mut String, texts: [&str; N]) -> fmt::Result {
    texts.into_iter().try_for_each(|text| line.write_str(text))
}

/// A field of a line.
enum Field<'a> {
    /// A text, which a client may have chosen.
    Text(&'a str),
    /// A number, or another value that needs no quotes.
    Plain(fmt::Arguments<'a>),
}

/// Hands over each field of a line about a request.
fn each_field(
    visit: &Visit<'_>,
    (ms, thousandths): (u128, u128),
    mut put: impl FnMut(&str, Field<'_>) -> fmt::Result,
) -> fmt::Result {
    put("request_id", Field::Text(&visit.request_id))?;
    put("method", Field::Text(&shortened(&visit.method, MAX_METHOD)))?;
    put("status", Field::Plain(format_args!("{}", visit.status)))?;
    put("duration_ms", Field::Plain(format_args!("{ms}.{thousandths:03}")))?;
    put("bytes", Field::Plain(format_args!("{}", visit.bytes)))?;
    put("path", Field::Text(&shown_path(&visit.path)))?;
    put("route", Field::Text(visit.route))?;
    if let Some(address) = visit.address {
        put("address", Field::Text(&address.to_string()))?;
    }
    for (name, id) in [("account_id", &visit.account_id), ("user_id", &visit.user_id)] {
        if let Some(id) = id {
            put(name, Field::Text(id))?;
        }
    }
    if !visit.is_complete {
        put("complete", Field::Plain(format_args!("false")))?;
    }
    Ok(())
}

/// The two lines that crossbar writes: one when a request begins, and one when it ends.
fn write_as_kazoo(line: &mut String, visit: &Visit<'_>, ms: u128) -> fmt::Result {
    let Visit { route, status, bytes, .. } = visit;
    let id = one_line(&visit.request_id);
    let method = one_line(&shortened(&visit.method, MAX_METHOD));
    let path = one_line(&shown_path(&visit.path));
    let address = visit.address.map_or_else(|| "undefined".to_owned(), |address| address.to_string());
    // crossbar writes the query behind the `?`. It may hold a token.
    writeln!(line, "|{id}|api_resource:0(<0.0.0>) {method}: {path}? from {address}")?;
    write!(
        line,
        "|{id}|api_resource:0(<0.0.0>) {method} request fulfilled in {ms} ms with {status}, {bytes} bytes, {route}"
    )?;
    // crossbar does not write these.
    for (name, id) in [("account_id", &visit.account_id), ("user_id", &visit.user_id)] {
        if let Some(id) = id {
            write!(line, " {name}={}", quoted(&one_line(id)))?;
        }
    }
    if !visit.is_complete {
        line.write_str(" complete=false")?;
    }
    line.write_char('\n')
}

/// A path without tokens, and not longer than lines may be.
pub(crate) fn shown_path(path: &str) -> Cow<'_, str> {
    let is_plain = !path.contains('%')
        && !path.contains("eyJ")
        && !parts_before_tokens().any(|part| path.contains(part));
    if is_plain {
        return shortened(path, MAX_PATH);
    }
    let mut shown = String::with_capacity(path.len());
    let mut is_after = false;
    for (place, part) in path.split('/').enumerate() {
        if place > 0 {
            shown.push('/');
        }
        let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
        let is_secret = !part.is_empty() && (is_after || looks_like_a_token(&decoded));
        shown.push_str(if is_secret { "***" } else { part });
        is_after = is_after || parts_before_tokens().any(|part| *part == *decoded);
    }
    Cow::Owned(shortened(&shown, MAX_PATH).into_owned())
}

/// Whether a text is a JSON Web Token, or begins like one.
fn looks_like_a_token(text: &str) -> bool {
    text.contains("eyJ") && text.len() > 20
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::{any, proptest};
    use serde_json::Value;

    use super::{LogFormat, Visit, shown_path, write_line};

    fn visit() -> Visit<'static> {
        Visit {
            begun: Instant::now(),
            method: "GET".into(),
            path: "/v2/accounts/a/groups".into(),
            route: "/v2/accounts/{account_id}/groups",
            status: 200,
            bytes: 12,
            is_complete: true,
            address: Some([192, 0, 2, 1].into()),
            account_id: Some("a".into()),
            user_id: None,
            request_id: "r".into(),
        }
    }

    fn line(format: LogFormat, visit: &Visit<'_>) -> String {
        let mut line = String::new();
        write_line(&mut line, format, visit);
        line
    }

    #[test]
    fn a_request_is_one_line_of_fields() {
        let text = line(LogFormat::Text, &visit());
        let duration = regex::Regex::new(r"duration_ms=\d+\.\d{3}").unwrap();
        let (_, text) = text.split_once("] ").unwrap();
        assert_eq!(
            duration.replace(text, "duration_ms=0"),
            "answered request_id=r method=GET status=200 duration_ms=0 bytes=12 path=/v2/accounts/a/groups \
             route=/v2/accounts/{account_id}/groups address=192.0.2.1 account_id=a\n"
        );
        let broken = Visit { is_complete: false, user_id: Some("u x".into()), ..visit() };
        assert!(line(LogFormat::Text, &broken).ends_with(" user_id=\"u x\" complete=false\n"));
    }

    #[test]
    fn a_request_is_one_object() {
        let object: Value = serde_json::from_str(&line(LogFormat::Json, &visit())).unwrap();
        assert_eq!((&object["status"], &object["bytes"]), (&200.into(), &12.into()));
        assert_eq!((&object["route"], &object["level"]), (&visit().route.into(), &"info".into()));
        assert!(object["duration_ms"].is_number() && object.get("user_id").is_none());
    }

    #[test]
    fn a_request_has_the_two_lines_of_crossbar() {
        let text = line(LogFormat::Kazoo, &visit());
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "|r|api_resource:0(<0.0.0>) GET: /v2/accounts/a/groups? from 192.0.2.1"
        );
        let last = lines.next().unwrap();
        let expected = r"^\|r\|api_resource:0\(<0\.0\.0>\) GET request fulfilled in \d+ ms";
        assert!(regex::Regex::new(expected).unwrap().is_match(last), "{last}");
        assert!(last.ends_with(" bytes, /v2/accounts/{account_id}/groups account_id=a"), "{last}");
        let broken = Visit { is_complete: false, user_id: Some("u x".into()), ..visit() };
        let text = line(LogFormat::Kazoo, &broken);
        assert!(text.ends_with(" account_id=a user_id=\"u x\" complete=false\n"), "{text}");
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn tokens_in_a_path_are_left_out() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrYXpvbyJ9.c2ln";
        for (path, shown) in [
            ("/v2/user_auth", "/v2/user_auth"),
            ("/v2/user_auth/", "/v2/user_auth/"),
            ("/v2/user_auth/secret", "/v2/user_auth/***"),
            ("/v2/user_auth/secret/more", "/v2/user_auth/***/***"),
            ("/v2/user%5Fauth/secret", "/v2/user%5Fauth/***"),
            ("/v2/api_auth/key", "/v2/api_auth/***"),
            ("/v2/token_auth/secret", "/v2/token_auth/***"),
            (&format!("/v2/accounts/{token}/groups"), "/v2/accounts/***/groups"),
            (&format!("/v2/accounts/%65{}/groups", &token[1..]), "/v2/accounts/***/groups"),
            ("/v2/accounts/a%20b/groups", "/v2/accounts/a%20b/groups"),
        ] {
            assert_eq!(shown_path(path), shown);
        }
        assert!(shown_path(&"/x".repeat(1_000)).len() < 600);
    }

    proptest! {
        /// Whatever a client sends, it gets one line (two in Kazoo's form).
        #[test]
        fn a_client_cannot_begin_another_line(path in any::<String>(), method in any::<String>(), id in any::<String>()) {
            let visit = Visit { path: path.into(), method: method.into(), request_id: id.into(), ..visit() };
            for (format, lines) in [(LogFormat::Text, 1), (LogFormat::Json, 1), (LogFormat::Kazoo, 2)] {
                let text = line(format, &visit);
                assert_eq!(text.matches(['\n', '\r']).count(), lines);
                if format == LogFormat::Json {
                    serde_json::from_str::<Value>(&text).unwrap();
                }
            }
        }
    }
}
