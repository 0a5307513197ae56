//! Heads as crossbar's server takes and refuses them.

use proptest::prelude::{Strategy as _, any, prop_assert, prop_assert_eq, proptest};

use super::{MAX_HEAD_BYTES, OF_HOST, OF_PATH, OF_QUERY, Scan, Scanned, Verdict, judge};

/// The request line that actix-http gets for this one, or the status of the refusal.
fn request_line(line: impl AsRef<[u8]>) -> Result<String, u16> {
    let head = [line.as_ref(), b"\r\nHost: x\r\n\r\n"].concat();
    match judge(&head, &[]) {
        Verdict::Refuse(status) => Err(status),
        Verdict::Pass => Ok(String::from_utf8(line.as_ref().to_vec()).unwrap()),
        Verdict::Rewrite(head, _) => {
            let head = String::from_utf8(head).unwrap();
            let (line, rest) = head.split_once("\r\n").unwrap();
            assert_eq!(rest, "Host: x\r\n\r\n");
            Ok(line.to_owned())
        }
    }
}

/// The headers that actix-http gets for these.
fn headers(headers: &str) -> String {
    let head = format!("GET / HTTP/1.1\r\n{headers}\r\n");
    match judge(head.as_bytes(), &["x-auth-token"]) {
        Verdict::Refuse(status) => status.to_string(),
        Verdict::Pass => headers.to_owned(),
        Verdict::Rewrite(head, _) => {
            let head = String::from_utf8(head).unwrap();
            head.strip_prefix("GET / HTTP/1.1\r\n").unwrap().strip_suffix("\r\n").unwrap().to_owned()
        }
    }
}

#[test]
fn the_sets_hold_what_their_words_say() {
    for byte in 0..=255_u8 {
        let is_in = |more: &[u8]| byte.is_ascii_alphanumeric() || more.contains(&byte);
        assert_eq!(OF_PATH.holds(byte), is_in(b"/-._~%!$&'()*+,;=:@"), "{byte}");
        assert_eq!(OF_QUERY.holds(byte), byte.is_ascii_graphic() && !b"\"#<>".contains(&byte), "{byte}");
        assert_eq!(OF_HOST.holds(byte), is_in(b"-._~%!$&'()*+,;=:[]"), "{byte}");
    }
}

#[test]
fn any_byte_of_a_query_is_taken() {
    for (sent, passed) in [
        ("GET /a?k=%zz&l=[]{}|\\^`%20 HTTP/1.1".as_bytes(), "GET /a?k=%zz&l=[]{}|\\^`%20 HTTP/1.1"),
        (b"GET /a?k=\"<>\x00\t\x7f\xfc\xc3\xbc? HTTP/1.1", "GET /a?k=%22%3C%3E%00%09%7F%FC%C3%BC? HTTP/1.1"),
        (b"GET /a?x#?y HTTP/1.1", "GET /a?x HTTP/1.1"),
        (b"GET /a#f?x=1 HTTP/1.0", "GET /a HTTP/1.0"),
        (b"OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"),
    ] {
        assert_eq!(request_line(sent).unwrap(), passed);
    }
}

/// Each byte becomes three.
#[test]
fn a_query_that_is_too_long_when_it_is_escaped_goes_another_way() {
    let judged = |raw: usize| {
        let query = "\"".repeat(raw);
        match judge(format!("GET /a?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(), &[]) {
            Verdict::Rewrite(head, long) => (String::from_utf8(head).unwrap(), long),
            other => panic!("{other:?}"),
        }
    };
    // The target is `/a?` and the query.
    let most = (65_534 - 3) / 3;
    assert_eq!(judged(most), (format!("GET /a?{} HTTP/1.1\r\nHost: x\r\n\r\n", "%22".repeat(most)), None));
    for raw in [most + 1, 65_000] {
        let expected = ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), Some("%22".repeat(raw)));
        assert_eq!(judged(raw), expected, "{raw}");
    }
}

#[test]
fn a_path_with_very_many_bad_bytes_grows_by_one_escape() {
    let line = request_line(format!("GET /{} HTTP/1.1", "a\u{7f}".repeat(20_000))).unwrap();
    assert!(line.starts_with("GET /a%%aa") && line.len() < 20_100, "{}", line.len());
}

#[test]
fn a_path_with_a_byte_that_crossbar_refuses_cannot_be_decoded() {
    for bad in ["\u{fc}", "<", ">", "`", "\"", "[", "}", "|", "\\", "^", "\u{7f}", "\u{1}", "\0", "\t"] {
        let line = request_line(format!("GET /a/{bad}41 HTTP/1.1")).unwrap();
        assert!(line.starts_with("GET /a/%%"), "{line}");
    }
    let plain = "GET /a-._~%41%!$&'()*+,;=:@ HTTP/1.1";
    assert_eq!(request_line(plain).unwrap(), plain);
}

#[test]
fn request_lines_that_are_none_are_refused() {
    for (line, status) in [
        ("TRACE /a HTTP/1.1", 501),
        ("CONNECT x:80 HTTP/1.1", 501),
        ("CONNECT x:80", 501),
        ("MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM / HTTP/1.1", 501),
        ("GET /a HTTP/1.2", 505),
        ("GET /a HTTP/2.0", 505),
        ("GET /a http/1.1", 505),
        ("GET /a HTTP/1.1 ", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET /a", 400),
        ("GET", 400),
        ("GET  /a HTTP/1.1", 400),
        ("GET\t/a HTTP/1.1", 400),
        ("GET http://y/a HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET *a HTTP/1.1", 400),
        (" / HTTP/1.1", 400),
    ] {
        assert_eq!(request_line(line), Err(status), "{line}");
    }
}

#[test]
fn an_upgrade_is_left_out() {
    for (sent, passed) in [
        ("Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nA: b\r\n", "Host: x\r\nA: b\r\n"),
        ("Host: x\r\nCONNECTION: close, upgrade,X\r\n", "Host: x\r\nCONNECTION: close, X\r\n"),
        ("Host: x\r\nUpgrade: h2c\r\n", "Host: x\r\n"),
        ("Host: x\r\nConnection: close\r\n", "Host: x\r\nConnection: close\r\n"),
    ] {
        assert_eq!(headers(sent), passed);
    }
}

#[test]
fn a_header_on_several_lines_is_one_list() {
    for (sent, passed) in [
        ("X-Auth-Token: a\r\nHost: x\r\nx-auth-token:b \r\n", "X-Auth-Token: a, b\r\nHost: x\r\n"),
        ("A: 1\r\nA: 2\r\n", "A: 1\r\nA: 2\r\n"),
    ] {
        assert_eq!(headers(sent), passed);
    }
}

#[test]
fn the_host_must_be_one() {
    for (host, is_taken) in
        [("x:80", true), ("", true), ("[::1]:8000", true), ("a b/c", false), ("a/b", false)]
    {
        let sent = format!("Host: {host}\r\n");
        assert_eq!(headers(&sent) == sent, is_taken, "{host}");
    }
}

#[test]
fn of_very_many_headers_only_those_that_matter_are_kept() {
    let many = |count: usize| (0..count).map(|number| format!("A{number}: b\r\n")).collect::<String>();
    let sent = format!("Host: x\r\n{}X-Auth-Token: t\r\n", many(94));
    assert_eq!(headers(&sent), sent, "96 are as many as actix-http takes");
    let sent = format!("Host: x\r\n{}X-Auth-Token: t\r\n", many(98));
    assert_eq!(headers(&sent), "Host: x\r\nX-Auth-Token: t\r\n");
}

fn scan(head: &[u8]) -> Scanned {
    Scan::default().advance(head)
}

#[test]
fn the_end_of_a_head_is_found() {
    let head = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(scan(&[&head[..], b"GET /"].concat()), Scanned::Complete(head.len()));
    assert_eq!(scan(&[&b"\r\n\r\n"[..], head].concat()), Scanned::Complete(head.len() + 4));
    assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: x\r\n"), Scanned::Partial);
    assert_eq!(scan(b"GET / HTTP/1.1\r"), Scanned::Partial);
}

#[test]
fn what_can_be_no_head_is_refused_at_once() {
    let many = |count: usize| {
        let headers: String = (0..count).map(|number| format!("A{number}: b\r\n")).collect();
        format!("GET / HTTP/1.1\r\n{headers}").into_bytes()
    };
    for (bytes, refused) in [
        (b"\r\n\r\n\r\n\r\n\r\n\r\n".to_vec(), Scanned::Refused(400)),
        (b"GET / HTTP/1.1\n".to_vec(), Scanned::Refused(505)),
        (b"GET / HTTP/1.1\r\nHost: x\n".to_vec(), Scanned::Refused(400)),
        (b"\n".to_vec(), Scanned::Refused(400)),
        (b"GET / HTTP/1.1\rHost".to_vec(), Scanned::Refused(400)),
        (many(100), Scanned::Partial),
        (many(101), Scanned::Refused(431)),
        (vec![b'a'; MAX_HEAD_BYTES], Scanned::Refused(414)),
        ([&b"GET / HTTP/1.1\r\n"[..], &vec![b'a'; MAX_HEAD_BYTES]].concat(), Scanned::Refused(431)),
    ] {
        assert_eq!(scan(&bytes), refused);
    }
}

proptest! {
    /// However the bytes arrive, the outcome is the same.
    #[test]
    fn a_head_may_arrive_in_any_parts(
        head in "(\r\n){0,6}GET /[a-z]{0,9} HTTP/1\\.1\r\n([A-Z]: [a-z\r\n]{0,9}\r\n){0,5}(\r\n)?[a-z\r\n]{0,9}",
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let whole = scan(head.as_bytes());
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(head.len())).collect();
        cuts.sort_unstable();
        cuts.push(head.len());
        let mut scan = Scan::default();
        let mut outcome = Scanned::Partial;
        for cut in cuts {
            outcome = scan.advance(&head.as_bytes()[..cut]);
            if outcome != Scanned::Partial {
                break;
            }
        }
        prop_assert_eq!(outcome, whole);
    }

    /// No head makes the judge panic, and what it writes is taken as it is.
    #[test]
    fn what_was_rewritten_needs_no_rewriting(
        line in proptest::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..60),
        headers in proptest::collection::vec("(Upgrade|Connection|Host|A): [ -~]{0,20}", 0..5),
    ) {
        let head = [&line[..], b"\r\n", headers.join("\r\n").as_bytes(), b"\r\n\r\n"].concat();
        if let Verdict::Rewrite(rewritten, _) = judge(&head, &[]) {
            prop_assert!(matches!(judge(&rewritten, &[]), Verdict::Pass), "{:?}", rewritten);
        }
    }
}
