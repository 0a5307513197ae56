//! Bodies: good envelopes, envelopes with one fault, and texts that are no envelope.

use super::dice::Dice;

const KEYS: [&str; 26] = [
    "name",
    "id",
    "_id",
    "endpoints",
    "flags",
    "music_on_hold",
    "media_id",
    "smartpbx",
    "pvt_type",
    "_rev",
    "verb",
    "page_size",
    "start_key",
    "end_key",
    "paginate",
    "auth_token",
    "authorization",
    "accept",
    "should_soft_delete",
    "file_name",
    "pretty_print",
    "",
    "a.b",
    "rev",
    "$serde_json::private::Number",
    "é",
];

const TEXTS: [&str; 24] = [
    "Sales",
    "",
    "0",
    "NULL",
    "undefined",
    "_design/x",
    "_all_docs",
    "..",
    "user",
    "device",
    "PUT",
    "DELETE",
    "true",
    "g20AAAACZzM",
    "\\u0000",
    "\\ud83d\\ude00",
    "a/b?c d",
    "%2F%zz",
    "é日本",
    "\\r\\nX-Evil: 1",
    "http://elsewhere/",
    "groups",
    "users",
    "../../etc",
];

const NUMBERS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "2.5",
    "1e3",
    "1e400",
    "-0",
    "1E-400",
    "9007199254740993",
    "123456789012345678901234567890",
    "-9223372036854775809",
    "0.1e-7",
    "01",
    "1.",
    "+1",
    "NaN",
];

/// A JSON text of at most this depth. Sometimes it is not valid JSON.
fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 6 } else { 9 }) {
        0 => "null".to_owned(),
        1 => dice.pick(&["true", "false"]).to_owned(),
        2 => dice.pick(&NUMBERS).to_owned(),
        3 => format!("\"{}\"", "x".repeat(dice.below(300))),
        4 | 5 => format!("\"{}\"", dice.pick(&TEXTS)),
        6 => {
            let items: Vec<_> = (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => object(dice, depth - 1),
    }
}

fn object(dice: &mut Dice, depth: usize) -> String {
    let members: Vec<_> =
        (0..dice.below(5)).map(|_| format!("\"{}\":{}", dice.pick(&KEYS), value(dice, depth))).collect();
    format!("{{{}}}", members.join(","))
}

fn data(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => r#"{"name":"Sales"}"#.to_owned(),
        1 => {
            r#"{"name":"Support","endpoints":{"u":{"type":"user","weight":1}},"flags":["a","b"]}"#.to_owned()
        }
        2 => format!("{{\"name\":\"n\",{}", object(dice, 3).trim_start_matches('{')),
        3 => nested(dice),
        4 => value(dice, 3),
        _ => object(dice, 4),
    }
}

fn nested(dice: &mut Dice) -> String {
    let levels = *dice.pick(&[&10, &120, &124, &125, &126, &130, &1_000, &60_000]);
    let (open, close) = *dice.pick(&[&("[", "]"), &("{\"a\":", "}")]);
    let close = if dice.once_in(4) { String::new() } else { close.repeat(levels) };
    format!("{{\"name\":\"deep\",\"d\":{}1{close}}}", open.repeat(levels))
}

/// An envelope, mostly.
pub(crate) fn json(dice: &mut Dice) -> Vec<u8> {
    let key = dice.pick(&["data", "data", "data", "data", "Data", "DATA", "daten"]);
    let mut text = format!("{{\"{key}\":{}", data(dice));
    for _ in 0..dice.below(3) {
        text.push_str(&format!(",\"{}\":{}", dice.pick(&KEYS), value(dice, 1)));
    }
    text.push('}');
    let mut bytes = text.into_bytes();
    if dice.once_in(3) {
        mutate(dice, &mut bytes);
    }
    bytes
}

/// Changes some bytes: flipped, left out, doubled, cut off.
pub(crate) fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(3) {
        if bytes.is_empty() {
            return;
        }
        let place = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes[place] ^= 1 << dice.below(8),
            1 => bytes[place] = *dice.pick(&[&0, &0xff, &0xc0, &b'"', &b'\\', &b'{', &b'%', &b'&']),
            2 => drop(bytes.remove(place)),
            3 => bytes.insert(place, bytes[place]),
            4 => bytes.truncate(place),
            _ => {
                let more = dice.bytes(8);
                bytes.splice(place..place, more);
            }
        }
    }
}

/// A form.
pub(crate) fn form(dice: &mut Dice) -> Vec<u8> {
    if dice.once_in(3) {
        return json(dice);
    }
    let mut pairs = Vec::new();
    for _ in 0..dice.below(4) {
        let equals = dice.pick(&["=", "=", "", "==", "%3D"]);
        pairs.push(format!("{}{equals}{}", dice.pick(&KEYS), dice.pick(&TEXTS)));
    }
    pairs.join("&").into_bytes()
}

/// A multipart body whose boundary should be `x`.
pub(crate) fn multipart(dice: &mut Dice) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..dice.below(4) {
        body.extend_from_slice(
            dice.pick(&["--x\r\n", "--x\r\n", "--x\n", "--y\r\n", "--x--\r\n"]).as_bytes(),
        );
        let disposition =
            dice.pick(&["Content-Disposition: form-data; name=\"f\"\r\n", "", "Content-Disposition: \r\n"]);
        let kind = dice.pick(&[
            "",
            "Content-Type: application/json\r\n",
            "Content-Type: garbage\r\n",
            "Content-Type: image/png\r\n",
        ]);
        body.extend_from_slice(format!("{disposition}{kind}\r\n").as_bytes());
        let content = if dice.once_in(2) { json(dice) } else { dice.bytes(50) };
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(dice.pick(&["--x--\r\n", "--x--", "", "--x"]).as_bytes());
    body
}
