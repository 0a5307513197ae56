//! Requests that are sent without waiting for answers. Each is answered in turn, however the bytes arrive.

use plain_http::AnswerTo;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::Index;
use serde_json::Value;

use crate::client::Client;
use crate::echo::{Echo, PATIENT};

/// How a request says how long its body is.
#[derive(Clone, Debug)]
enum Framing {
    None,
    Length,
    /// Chunks of at most this size.
    Chunks(usize),
}

#[derive(Clone, Debug)]
struct Request {
    is_head: bool,
    framing: Framing,
    body: String,
}

impl Request {
    fn bytes(&self, number: usize) -> Vec<u8> {
        let method = if self.is_head { "HEAD" } else { "PUT" };
        let head = format!("{method} /{number}?<{number}> HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n");
        let rest = match self.framing {
            Framing::None => "\r\n".to_owned(),
            Framing::Length => format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body),
            Framing::Chunks(size) => {
                let chunks = self.body.as_bytes().chunks(size).map(|chunk| {
                    format!("{:x};a=b\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap())
                });
                let chunks: String = chunks.collect();
                format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nA: b\r\n\r\n")
            }
        };
        format!("{head}{rest}").into_bytes()
    }
}

fn request() -> impl Strategy<Value = Request> {
    let framing = prop_oneof![
        1 => proptest::strategy::Just(Framing::None),
        1 => proptest::strategy::Just(Framing::Length),
        2 => (1_usize..20).prop_map(Framing::Chunks),
    ];
    // Bodies that look like the ends and the heads of requests.
    let body = proptest::collection::vec(
        prop_oneof!["\r\n", "\r\n\r\n", "0\r\n\r\n", "GET / HTTP/1\\.1\r\n", "[a-z]{0,20}", "x{3000}"],
        0..8,
    );
    (any::<bool>(), framing, body).prop_map(|(is_head, framing, body)| {
        let body = if matches!(framing, Framing::None) { String::new() } else { body.concat() };
        Request { is_head, framing, body }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_answered_in_turn(
        requests in proptest::collection::vec(request(), 1..8),
        cuts in proptest::collection::vec(any::<Index>(), 0..12),
    ) {
        let server = Echo::start(PATIENT);
        let bytes: Vec<u8> =
            requests.iter().enumerate().flat_map(|(number, request)| request.bytes(number)).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut client = Client::connect(server.address);
        let mut sent = 0;
        for cut in cuts {
            client.send(&bytes[sent..cut]);
            sent = cut;
            std::thread::yield_now();
        }
        for (number, request) in requests.iter().enumerate() {
            let to = if request.is_head { AnswerTo::Head } else { AnswerTo::Other };
            let answer = client.answer_to(to).unwrap();
            prop_assert_eq!(answer.status, 200);
            if request.is_head {
                continue;
            }
            let seen: Value = serde_json::from_slice(&answer.body).unwrap();
            prop_assert_eq!(&seen["path"], &format!("/{number}"));
            prop_assert_eq!(seen["body"].as_str(), Some(request.body.as_str()));
        }
        client.assert_open();
    }
}

#[test]
fn a_large_chunked_body_arrives_whole() {
    let server = Echo::start(PATIENT);
    let mut client = Client::connect(server.address);
    for part in ["x".repeat(1_000_000), "\r\n\r\n".repeat(20_000)] {
        let body = format!("{:x}\r\n{part}\r\n0\r\n\r\n", part.len());
        client.send("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").send(body);
        let seen: Value = serde_json::from_slice(&client.answer().body).unwrap();
        assert!(seen["body"] == part.as_str());
    }
    client.assert_open();
}
