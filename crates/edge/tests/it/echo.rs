//! A server whose application answers what it was asked.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Payload};
use actix_web::{App, HttpMessage as _, HttpRequest, HttpResponse};
use edge::{Capacity, Limits, LongQuery, Report, Service};
use futures::StreamExt as _;
use serde_json::{Value, json};

/// Long enough for any wait that a test does not look at.
pub(crate) const AGES: Duration = Duration::from_secs(60);

/// Limits that no test meets by chance.
pub(crate) const PATIENT: Limits =
    Limits { head: AGES, idle: AGES, body_bytes_per_second: 1, answer: AGES, headers: &READ };

/// The headers that the echo is interested in. They are joined.
pub(crate) const READ: [&str; 10] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "content-type",
    "if-none-match",
    "user-agent",
    "x-auth-token",
    "x-forwarded-for",
    "x-request-id",
];

/// A running server.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    pub(crate) capacity: Capacity,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(limits: Limits) -> Self {
        Self::with_capacity(limits, Capacity::new(1_000))
    }

    pub(crate) fn with_capacity(limits: Limits, capacity: Capacity) -> Self {
        let listener = edge::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let (sender, receiver) = mpsc::channel();
        let (shared, report) = (capacity.clone(), Report::to(|_, _| ()));
        let service = Service { workers: 1, grace_seconds: 1, limits, capacity, report };
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let application = || App::new().default_service(web::route().to(echo));
                let server = listener.serve(service, application).unwrap();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { address, capacity: shared, handle: receiver.recv().unwrap(), thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Dropping the answer is enough: the command is sent at once.
        drop(self.handle.stop(false));
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

async fn echo(request: HttpRequest, mut payload: Payload) -> HttpResponse {
    let mut body = Vec::new();
    // `/late` reads its body a little later.
    if request.path() == "/late" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // `/early` answers before the body has come.
    while request.path() != "/early"
        && let Some(part) = payload.next().await
    {
        match part {
            Ok(part) => body.extend_from_slice(&part),
            Err(error) => return HttpResponse::build(StatusCode::REQUEST_TIMEOUT).body(error.to_string()),
        }
    }
    match (request.method().as_str(), request.path()) {
        ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE", path) if is_escaped(path) => {}
        ("GET", _) => return HttpResponse::BadRequest().finish(),
        ("OPTIONS", _) => return HttpResponse::Ok().body("banner"),
        _ => return HttpResponse::NotImplemented().finish(),
    }
    // `/large` has an endless answer.
    if request.path() == "/large" {
        let chunk = Bytes::from(vec![b'x'; 65_536]);
        return HttpResponse::Ok()
            .streaming(futures::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())));
    }
    HttpResponse::Ok().json(seen(&request, &body))
}

/// Whether every `%` begins an escape.
fn is_escaped(path: &str) -> bool {
    path.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

fn seen(request: &HttpRequest, body: &[u8]) -> Value {
    let long = request.extensions().get::<LongQuery>().cloned();
    let latin1 = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let mut headers = serde_json::Map::new();
    for (name, value) in request.headers() {
        let value = latin1(value.as_bytes());
        match headers.entry(name.as_str()) {
            serde_json::map::Entry::Vacant(free) => drop(free.insert(json!([value]))),
            serde_json::map::Entry::Occupied(mut lines) => {
                lines.get_mut().as_array_mut().unwrap().push(json!(value));
            }
        }
    }
    json!({
        "method": request.method().as_str(),
        "path": request.path(),
        "qs": long.as_ref().map_or(request.uri().query().unwrap_or_default(), |long| &*long.0),
        "headers": headers,
        "body": latin1(body),
    })
}
