//! The body: an envelope with `data`, in every encoding that crossbar accepts. Refuses a body that is too
//! large, malformed, not an envelope, or without usable `data` (400).

use std::borrow::Cow;

use base64::Engine as _;
use bytes::Bytes;
use datastore::json::{self, JsonError};
use serde_json::map::Entry;
use serde_json::{Map, Value};
use validation::{MAX_ECHO, Violations, shortened};

use crate::budget::Reservation;
use crate::catalogue::Refusal;
use crate::cost;
use crate::grammar::percent::BadEscape;
use crate::grammar::query;
use crate::profile::MalformedJson;
use crate::request::content_type::ContentType;
use crate::request::envelope::Envelope;
use crate::request::incoming::Received;

/// The types that `data` may have.
const DATA_TYPES: &str = "object, array";

/// The most parts of a multipart body that are read.
const MAX_PARTS: usize = 1_000;

/// Reads the body, once there is memory for what it takes.
pub(crate) async fn read(
    content_type: &ContentType,
    body: Received,
    malformed: MalformedJson,
    reservation: &Reservation,
) -> Result<Envelope, Refusal> {
    let body = match body {
        Received::Whole(body) => body,
        Received::TooLarge { limit } => return Err(too_large(limit)),
        Received::NoRoom => return Err(Refusal::Busy),
    };
    if !body.is_empty() {
        reservation.grow_to(cost::of_body(&body, content_type)).await?;
    }
    parse(content_type, body, malformed).await
}

/// Reads the envelope in a body.
pub(crate) async fn parse(
    content_type: &ContentType,
    body: Bytes,
    malformed: MalformedJson,
) -> Result<Envelope, Refusal> {
    match content_type {
        ContentType::Json => json_envelope(&body, malformed),
        ContentType::Form => form_envelope(&body, malformed),
        ContentType::Multipart { boundary } => multipart_envelope(body, boundary, malformed).await,
        ContentType::Base64 => match base64::engine::general_purpose::STANDARD.decode(&body) {
            Ok(_) => Ok(Envelope::empty()),
            Err(_) => Err(Refusal::Validation(Violations::one(
                "file",
                "encoding",
                [("message", Value::from("failed to decode base64 data"))],
            ))),
        },
        ContentType::File { .. } => Ok(Envelope::empty()),
    }
}

/// Makes an envelope of a JSON object. Names are put in lower case with `_` for `-`, and nulls are dropped.
/// `data` must be an object or a list.
fn envelope_of(object: Map<String, Value>) -> Result<Envelope, Refusal> {
    let mut members = Map::with_capacity(object.len());
    for (name, value) in object {
        if !value.is_null() {
            members.entry(normalised(name)).or_insert(value);
        }
    }
    match members.shift_remove("data") {
        Some(data @ (Value::Object(_) | Value::Array(_))) => Ok(Envelope { data, members }),
        Some(other) => Err(Refusal::Validation(Violations::wrong_type("data", DATA_TYPES, other))),
        None => Err(Refusal::Validation(Violations::missing("data", Value::Object(members)))),
    }
}

fn normalised(mut name: String) -> String {
    name.make_ascii_lowercase();
    if name.contains('-') { name.replace('-', "_") } else { name }
}

fn too_large(max_bytes: u64) -> Refusal {
    let message = format!("Payload or Files must not be more than {max_bytes} bytes");
    Refusal::Validation(Violations::one(
        "file",
        "maxSize",
        [("message", Value::from(message)), ("target", Value::from(max_bytes))],
    ))
}

fn json_envelope(body: &[u8], malformed: MalformedJson) -> Result<Envelope, Refusal> {
    if body.is_empty() {
        return Ok(Envelope::empty());
    }
    match json::parse(body) {
        Ok(Value::Object(object)) => envelope_of(object),
        Ok(_) | Err(JsonError::NotAnObject) => Err(invalid_json("All JSON must be valid")),
        Err(JsonError::Syntax(_)) => Err(invalid_json(&words_of_fault(body, malformed))),
        Err(JsonError::DuplicateKey(key)) => {
            Err(invalid_json(&JsonError::DuplicateKey(shortened(key)).to_string()))
        }
        Err(own @ (JsonError::TooDeep | JsonError::TooMany)) => Err(invalid_json(&own.to_string())),
    }
}

/// What crossbar says of malformed JSON. Where its decoder does not name a fault, it has one message for all.
fn words_of_fault(body: &[u8], malformed: MalformedJson) -> Cow<'static, str> {
    let fault = match malformed {
        MalformedJson::OneMessage => None,
        MalformedJson::ReasonAndPlace => kazoo::decoder_fault(body),
    };
    fault.map_or(Cow::Borrowed("decoder_exit around 0"), |fault| Cow::Owned(fault.to_string()))
}

fn invalid_json(message: &str) -> Refusal {
    Refusal::Validation(Violations::one(
        "json",
        "invalid",
        [("message", Value::from(message)), ("target", Value::from("body"))],
    ))
}

/// A real form is always refused. But curl labels JSON as a form unless it is given a content type, so a
/// single key without a value is read as JSON, and so is a body that is not a form.
fn form_envelope(body: &[u8], malformed: MalformedJson) -> Result<Envelope, Refusal> {
    let is_single_key = !body.is_empty() && !body.iter().any(|byte| matches!(byte, b'&' | b'='));
    if is_single_key {
        return json_envelope(body, malformed);
    }
    match fault_of_form(body) {
        Ok(fault) => Err(Refusal::Validation(fault)),
        Err(BadEscape) => json_envelope(body, malformed),
    }
}

/// Why a form is refused: its `data` is a text or is missing. A form without `data` is repeated in the
/// answer, so its members are kept as long as they may be short enough for that.
fn fault_of_form(body: &[u8]) -> Result<Violations, BadEscape> {
    let mut data = None;
    let mut members = Map::new();
    let mut size = 0_usize;
    for pair in query::pairs(body) {
        let pair = pair?;
        if pair.key.eq_ignore_ascii_case("data") {
            data.get_or_insert_with(|| pair.to_json());
        } else if size <= MAX_ECHO {
            let value = pair.to_json();
            if let Entry::Vacant(place) = members.entry(normalised(pair.key.into_owned())) {
                size =
                    size.saturating_add(place.key().len()).saturating_add(value.as_str().map_or(0, str::len));
                place.insert(value);
            }
        }
    }
    Ok(match data {
        Some(text) => Violations::wrong_type("data", DATA_TYPES, text),
        None => Violations::missing("data", Value::Object(members)),
    })
}

/// The envelope is the last part that is JSON.
async fn multipart_envelope(
    body: Bytes,
    boundary: &str,
    malformed: MalformedJson,
) -> Result<Envelope, Refusal> {
    let unreadable = |error: multer::Error| Refusal::malformed("body", &error.to_string(), None);
    let whole = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut envelope = Envelope::empty();
    let mut read = 0;
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        read += 1;
        if read > MAX_PARTS {
            let message = format!("a multipart body can have at most {MAX_PARTS} parts");
            return Err(Refusal::malformed("body", &message, None));
        }
        let header =
            part.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let content = part.bytes().await.map_err(unreadable)?;
        envelope = match ContentType::parse(header.as_deref())? {
            ContentType::Json => json_envelope(&content, malformed)?,
            ContentType::Form => form_envelope(&content, malformed)?,
            _ => envelope,
        };
    }
    Ok(envelope)
}
