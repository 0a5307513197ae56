//! Clients that are slow, silent or greedy are closed; others do not notice.

use std::io::Read as _;
use std::net::Shutdown;
use std::time::Duration;

use edge::{Capacity, Limits};

use crate::client::{Client, wait_until};
use crate::echo::{Echo, PATIENT};

const SHORT: Duration = Duration::from_millis(300);

/// A server that gives heads little time.
fn short_head() -> Echo {
    Echo::start(Limits { head: SHORT, ..PATIENT })
}

#[test]
fn a_silent_client_is_closed_without_an_answer() {
    let server = short_head();
    for part in ["", "GET /a", "\r\n", "GET /a HTTP/1.1"] {
        Client::connect(server.address).send(part).assert_closed();
    }
}

#[test]
fn a_part_of_the_headers_is_answered_with_408() {
    let server = short_head();
    for part in ["GET /a HTTP/1.1\r\n", "GET /a HTTP/1.1\r\nHost: x\r\n", "GET /a HTTP/1.1\r\nHo"] {
        let mut client = Client::connect(server.address);
        let answer = client.send(part).answer();
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")), "{part:?}");
        client.assert_closed();
    }
}

#[test]
fn every_head_of_a_kept_connection_has_a_deadline() {
    let server = short_head();
    let mut client = Client::connect(server.address);
    for _ in 0..3 {
        client.assert_open();
    }
    assert_eq!(client.send("GET /a HTTP/1.1\r\nHo").answer().status, 408);
    client.assert_closed();
    // Behind a chunked body too.
    let mut client = Client::connect(server.address);
    client.send("PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    client.assert_open();
    assert_eq!(client.send("GET /a HTTP/1.1\r\nHo").answer().status, 408);
    client.assert_closed();
}

#[test]
fn a_head_that_drips_is_as_late_as_a_silent_one() {
    let server = short_head();
    let mut client = Client::connect(server.address);
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n");
    let address = server.address;
    let writer = client.stream().try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut writer = writer;
        // Ends when the server closes the connection.
        while writer.write_all(b"A: b\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // Meanwhile others are served.
    Client::connect(address).assert_open();
    assert_eq!(client.answer().status, 408);
    client.assert_closed();
    drop(client);
    drip.join().unwrap();
}

#[test]
fn a_kept_connection_without_a_request_is_closed() {
    let server = Echo::start(Limits { idle: SHORT, ..PATIENT });
    let mut client = Client::connect(server.address);
    client.assert_open();
    client.assert_closed();
}

#[test]
fn a_body_that_is_too_slow_is_answered_with_408() {
    // At this rate, the body is late when the grace is over.
    let server = Echo::start(Limits { body_bytes_per_second: 1_000_000, ..PATIENT });
    for head in
        ["Content-Length: 10", "Transfer-Encoding: chunked", "Content-Length: 10\r\nExpect: 100-continue"]
    {
        let mut client = Client::connect(server.address);
        let answer = client.send(format!("PUT /a HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n")).answer();
        assert_eq!((answer.status, answer.header("connection")), (408, Some("close")), "{head}");
        client.assert_closed();
    }
}

#[test]
fn a_client_that_does_not_read_is_closed_and_its_memory_given_back() {
    let server = Echo::start(Limits { answer: SHORT, ..PATIENT });
    let mut greedy = Client::connect(server.address);
    greedy.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    // It reads a little, so it is served.
    let mut first = [0; 1_024];
    greedy.stream().read_exact(&mut first).unwrap();
    assert_eq!(server.capacity.open(), 1);
    Client::connect(server.address).assert_open();
    wait_until("the connection is given up", || server.capacity.open() == 0);
    // The connection is reset. The client loses the bytes that it has not read.
    let mut rest = Vec::new();
    let end = greedy.stream().read_to_end(&mut rest);
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_half_closed_connection_gets_its_answer() {
    let server = Echo::start(PATIENT);
    for request in [
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    ] {
        let mut client = Client::connect(server.address);
        client.send(request).stream().shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.answer().status, 200, "{request:?}");
        client.assert_closed();
    }
    // Pipelined ones too.
    let mut client = Client::connect(server.address);
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3)).stream().shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(client.answer().status, 200);
    }
    client.assert_closed();
}

#[test]
fn a_client_that_goes_away_gives_its_place_back() {
    let server = Echo::start(PATIENT);
    for part in [
        "",
        "GET /a",
        "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
    ] {
        Client::connect(server.address).send(part);
        wait_until("the slot is free", || server.capacity.open() == 0);
    }
}

#[test]
fn an_answer_before_the_body_arrives_whole() {
    let server = Echo::start(PATIENT);
    for (length, body) in [
        ("Content-Length: 5000000", vec![b'x'; 5_000_000]),
        ("Transfer-Encoding: chunked", [&b"100000\r\n"[..], &vec![b'x'; 900_000]].concat()),
    ] {
        let mut client = Client::connect(server.address);
        client.send(format!("PUT /early HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n")).send(&body);
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{length}");
        client.assert_closed();
    }
}

#[test]
fn a_malformed_chunk_is_400_before_the_application_reads_the_body() {
    let server = Echo::start(PATIENT);
    for path in ["/late", "/a"] {
        let mut client = Client::connect(server.address);
        client.send(format!("PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"));
        assert_eq!(client.answer().status, 400, "{path}");
        client.assert_closed();
    }
}

#[test]
fn one_client_too_many_gets_a_503_and_place_is_made_for_it() {
    let server = Echo::with_capacity(PATIENT, Capacity::new(2));
    let mut kept: Vec<_> = (0..2).map(|_| Client::connect(server.address)).collect();
    // The system accepts a connection before the server does.
    wait_until("all slots are taken", || server.capacity.open() == 2);
    for client in &mut kept {
        client.assert_open();
    }
    let mut surplus = Client::connect(server.address);
    let answer = surplus.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    surplus.assert_closed();
    // All slots were taken when these came to rest, so they are kept for a second only.
    for client in &mut kept {
        client.assert_closed();
    }
    wait_until("there is room", || server.capacity.open() == 0);
    Client::connect(server.address).assert_open();
}
