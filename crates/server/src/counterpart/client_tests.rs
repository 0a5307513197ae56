use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::{Bounds, Counterpart, CounterpartUrl, Heard, Question, Unanswered};

const BYTES: usize = 100_000;

/// A server that answers one request in its own way.
fn server(answer: impl FnOnce(&mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        answer(&mut stream);
    });
    format!("http://{address}")
}

async fn ask(address: &str, time: Duration) -> Result<Heard, Unanswered> {
    let address = CounterpartUrl::parse(address).unwrap();
    let mut question = Question::new("/v2/accounts/a/groups?auth_token=very-secret".to_owned());
    question.add_header("x-auth-token", b"very-secret");
    question.add_header("x-bad\n", b"x");
    question.add_header("x-bad", b"a\r\nx-more: b");
    let heard = Counterpart::new(address, Bounds { time, bytes: BYTES }).unwrap().ask(&question).await;
    if let Err(error) = &heard {
        assert!(!format!("{error} {error:?}").contains("very-secret"), "{error:?}");
    }
    heard
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn an_answer_is_heard_whole() {
    let (sender, head) = mpsc::channel();
    let address = server(move |stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: \xe9\r\n\r\nab").unwrap();
        sender.send(()).unwrap();
    });
    let heard = ask(&address, LONG).await.unwrap();
    head.recv().unwrap();
    assert_eq!((heard.status, heard.body.as_slice()), (200, &b"ab"[..]));
    assert!(heard.headers.contains(&("x-a".to_owned(), "\u{e9}".to_owned())));
}

#[tokio::test]
async fn an_answer_that_is_too_large_or_has_no_end_is_cut() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let address = server(move |stream| {
            stream.write_all(head.as_bytes()).unwrap();
            let chunk = [b"1000\r\n".as_slice(), &[b'x'; 4096], b"\r\n"].concat();
            // It writes until the client has had enough.
            while stream.write_all(&chunk).is_ok() {}
        });
        let heard = ask(&address, LONG).await;
        assert!(matches!(heard, Err(Unanswered::TooLarge(BYTES))), "{head}");
    }
}

#[tokio::test]
async fn a_silent_server_is_left_after_a_time() {
    for begin in ["", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"] {
        let address = server(move |stream| {
            stream.write_all(begin.as_bytes()).unwrap();
            // Until the client goes.
            let _ = stream.read(&mut [0]);
        });
        assert!(matches!(ask(&address, SHORT).await, Err(Unanswered::Slow(_))), "{begin}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_leads_nowhere() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = elsewhere.local_addr().unwrap();
    let address = server(move |stream| {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: http://{location}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    });
    assert_eq!(ask(&address, LONG).await.unwrap().status, 302);
    elsewhere.set_nonblocking(true).unwrap();
    assert!(elsewhere.accept().is_err(), "nobody follows the redirect");
}

#[tokio::test]
async fn what_is_compressed_or_no_http_is_not_read_further() {
    let address = server(|stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x0b";
        stream.write_all(head.as_bytes()).unwrap();
    });
    assert_eq!(ask(&address, LONG).await.unwrap().body, b"\x1f\x0b");
    let address = server(|stream| stream.write_all(b"SSH-2.0-x\r\n").unwrap());
    assert!(matches!(ask(&address, LONG).await, Err(Unanswered::Unreachable(_))));
    let address =
        server(|stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").unwrap());
    assert!(matches!(ask(&address, LONG).await, Err(Unanswered::BrokenOff(_))));
    for status in [429, 500, 503] {
        let address = server(move |stream| {
            stream.write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
        });
        assert!(matches!(ask(&address, LONG).await, Err(Unanswered::Failing(failing)) if failing == status));
    }
}
