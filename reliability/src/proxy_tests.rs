//! Each fault does what its name says, seen from the side of the server.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use plain_http::{Answer, AnswerTo, read_answer};

use super::{Plan, Proxy, read_request};
use crate::fault::{FAULTS, Fault};
use crate::wire::{Kept, Request};

const PATIENCE: Duration = Duration::from_secs(10);
const BODY: &str = r#"{"ok":true,"id":"x","rev":"1-a"}"#;

/// A CouchDB that answers every call with the same body, and counts the calls.
fn upstream() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while let Ok(Some(_)) = read_request(&mut stream) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    let answer =
                        format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
                    if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, count)
}

fn ask(address: SocketAddr) -> std::io::Result<Answer> {
    Request::new("PUT", "/db/x").json("{}").ask(address, PATIENCE)
}

#[test]
fn without_a_fault_calls_pass() {
    let (address, count) = upstream();
    let proxy = Proxy::start(address).unwrap();
    let mut connection = Kept::new(proxy.address, PATIENCE);
    for _ in 0..3 {
        let answer = connection.ask(&Request::new("GET", "/db/x")).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, BODY.as_bytes()));
    }
    assert_eq!((count.load(Ordering::Relaxed), proxy.open()), (3, 1));
}

#[test]
fn a_fault_hits_the_call_that_it_is_told_and_no_other() {
    let (address, _) = upstream();
    let proxy = Proxy::start(address).unwrap();
    proxy.arm(Some(Plan { fault: Fault::Status503, at: 2, stays: false }));
    let statuses: Vec<_> = (0..3).map(|_| ask(proxy.address).unwrap().status).collect();
    assert_eq!(statuses, [201, 503, 201]);
    let faulted: Vec<_> = proxy.disarm().iter().map(|call| call.was_faulted).collect();
    assert_eq!(faulted, [false, true, false]);
    proxy.arm(Some(Plan { fault: Fault::Status503, at: 2, stays: true }));
    let statuses: Vec<_> = (0..3).map(|_| ask(proxy.address).unwrap().status).collect();
    assert_eq!(statuses, [201, 503, 503]);
}

#[test]
fn a_refusal_for_good_ends_when_it_is_disarmed() {
    let (address, _) = upstream();
    let proxy = Proxy::start(address).unwrap();
    proxy.arm(Some(Plan { fault: Fault::Refuse, at: 1, stays: true }));
    assert!(ask(proxy.address).is_err());
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(proxy.address).is_ok() {
        assert!(std::time::Instant::now() < deadline, "the port is still open");
    }
    proxy.disarm();
    while ask(proxy.address).is_err() {
        assert!(std::time::Instant::now() < deadline, "the port is still closed");
    }
}

#[test]
fn each_fault_does_what_it_says() {
    for fault in FAULTS {
        let (address, count) = upstream();
        let proxy = Proxy::start(address).unwrap();
        proxy.arm(Some(Plan { fault, at: 1, stays: false }));
        let answer = ask(proxy.address);
        let done = count.load(Ordering::Relaxed);
        assert_eq!(done, usize::from(fault.is_done()), "{fault:?} was passed on");
        let half = BODY.as_bytes().get(..BODY.len() / 2).unwrap();
        match fault {
            Fault::Refuse | Fault::Cut | Fault::ResetInBody | Fault::Garbage | Fault::TooShort => {
                assert!(answer.is_err(), "{fault:?}: {answer:?}");
            }
            Fault::Delay | Fault::Late | Fault::Drip => {
                assert_eq!(answer.unwrap().body, BODY.as_bytes(), "{fault:?}")
            }
            Fault::Status500 => assert_eq!(answer.unwrap().status, 500),
            Fault::Status503 => assert_eq!(answer.unwrap().status, 503),
            Fault::Status429 => assert_eq!(answer.unwrap().status, 429),
            Fault::Html => assert!(answer.unwrap().body.starts_with(b"<html>")),
            Fault::Truncated | Fault::TooLong => assert_eq!(answer.unwrap().body, half, "{fault:?}"),
            Fault::EmptyObject => assert_eq!(answer.unwrap().body, b"{}"),
            Fault::Accepted => {
                let answer = answer.unwrap();
                assert_eq!((answer.status, answer.body.as_slice()), (202, BODY.as_bytes()));
            }
        }
    }
}

#[test]
fn an_answer_that_is_too_long_leaves_bytes_behind_it() {
    let (address, _) = upstream();
    let proxy = Proxy::start(address).unwrap();
    proxy.arm(Some(Plan { fault: Fault::TooLong, at: 1, stays: false }));
    let mut stream = BufReader::new(std::net::TcpStream::connect(proxy.address).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    stream.get_mut().write_all(&Request::new("PUT", "/db/x").json("{}").kept()).unwrap();
    read_answer(&mut stream, AnswerTo::Other).unwrap();
    let mut rest = vec![0; BODY.len() - BODY.len() / 2];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(Some(rest.as_slice()), BODY.as_bytes().get(BODY.len() / 2..));
}
