//! The ceiling: a bare actix server in a process of its own. It answers `/N` with a fixed body of N bytes and
//! does nothing else.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use actix_web::web::{self, Bytes, Path};
use actix_web::{App, HttpResponse, HttpServer};

/// The argument that makes this program the bare server.
pub const MODE: &str = "--ceiling";

/// The largest body.
const MOST: usize = 1 << 20;

/// Serves until the process is killed, with as many workers as the measured server has by default.
pub fn serve() {
    let bodies = Bytes::from(vec![b'x'; MOST]);
    let workers = thread::available_parallelism().expect("a number of processors").get();
    let server = HttpServer::new(move || {
        let bodies = bodies.clone();
        App::new().route(
            "/{size}",
            web::get().to(move |size: Path<usize>| {
                let body = bodies.slice(..*size);
                async move { HttpResponse::Ok().content_type("application/json").body(body) }
            }),
        )
    });
    let server = server.workers(workers).bind("127.0.0.1:0").expect("a port");
    println!("{}", server.addrs()[0]);
    actix_web::rt::System::new().block_on(async move { server.run().await }).expect("it serves");
}

/// The bare server as a process. It ends when this is dropped.
pub struct Ceiling {
    child: Child,
    pub address: SocketAddr,
}

impl Ceiling {
    pub fn start() -> Self {
        let me = std::env::current_exe().expect("this program");
        let mut child = Command::new(me).arg(MODE).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        Self { child, address: line.trim().parse().expect("an address") }
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
