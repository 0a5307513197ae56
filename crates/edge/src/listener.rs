//! Listening sockets, and the service behind each: a connection is admitted, wrapped and driven.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use actix_http::body::MessageBody;
use actix_http::{Extensions, HttpService, KeepAlive, Request, Response};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service as _, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, map_config,
};
use actix_web::dev::AppConfig;
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::net::TcpStream;

use crate::capacity::Capacity;
use crate::crowd::Crowd;
use crate::drain::Drain;
use crate::limits::Limits;
use crate::refused::{Reason, Report};
use crate::socket::{Socket, Watch};
use crate::wire::Wire;
use crate::{connection, exchange};

/// How many connections the system keeps that nobody has accepted yet.
const BACKLOG: i32 = 1_024;

/// How many clients get an answer 503 at once because all connections are in use. Further ones wait until
/// somebody accepts them.
const TURNED_AWAY: usize = 64;

/// How a listener is served.
#[derive(Clone, Debug)]
pub struct Service {
    /// How many threads serve connections.
    pub workers: usize,
    /// How long requests under way may take to finish when the server stops, in seconds.
    pub grace_seconds: u64,
    /// The patience with clients.
    pub limits: Limits,
    /// The number of connections.
    pub capacity: Capacity,
    /// Hears of connections that end without an answer of the application.
    pub report: Report,
}

/// A socket that holds an address. Clients are refused until [`Listener::serve`].
#[derive(Debug)]
pub struct Listener {
    socket: RawSocket,
    address: SocketAddr,
}

/// Takes an address.
///
/// # Errors
/// The address is taken, is none of this machine, or is not for this user.
pub fn bind(address: SocketAddr) -> io::Result<Listener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok(Listener { socket, address })
}

impl Listener {
    /// The address, with the port that was chosen if the wish was port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to serve. `application` makes the application, once for each thread.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub fn serve<F, I, S, B>(self, service: Service, application: F) -> io::Result<Server>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error>,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>>,
        B: MessageBody + Unpin + 'static,
    {
        let Service { workers, grace_seconds, limits, capacity, report } = service;
        self.socket.listen(BACKLOG)?;
        // A thread accepts no more than its part, and a little more to say that there is no room.
        let connections = capacity.most().saturating_add(TURNED_AWAY).div_ceil(workers);
        let server = Server::build()
            .workers(workers)
            .max_concurrent_connections(connections)
            .shutdown_timeout(grace_seconds)
            .disable_signals();
        let stopping = server.graceful_shutdown_signal();
        let server = server.listen(self.address.to_string(), TcpListener::from(self.socket), move || {
            let application = application().into_factory().map_err(|error| error.into().error_response());
            let application = map_config(application, |()| AppConfig::default());
            let stopping = stopping.clone();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                // The wire has the deadlines of clients.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(std::time::Duration::ZERO)
                .h1_write_buffer_size(exchange::PART_BYTES)
                .on_connect_ext(|socket: &Socket, data: &mut Extensions| {
                    data.insert::<Watch>(Rc::downgrade(&socket.0));
                })
                .h1(apply_fn_factory(application, |request: Request, application: &_| {
                    exchange::serve(request, application)
                }));
            let (capacity, report) = (capacity.clone(), report.clone());
            let (crowd, drain) = (Crowd::default(), Drain::default());
            apply_fn_factory(http, move |stream: TcpStream, http: &_| {
                let (report, drain, peer) = (report.clone(), drain.clone(), stream.peer_addr().ok());
                let admitted = match capacity.admit() {
                    Some(slot) => {
                        // Small parts of an answer must not wait for each other. An error means that the client
                        // is gone, and shows again at once.
                        let _ = stream.set_nodelay(true);
                        let wire = Wire::new(stream, limits, slot, crowd.clone());
                        // In a box, because every future around it would have room for it of its own.
                        Ok((Rc::clone(&wire), Box::pin(http.call((Socket(wire), peer)))))
                    }
                    None => Err(stream),
                };
                async move {
                    match admitted {
                        Ok((wire, dispatcher)) => {
                            let told = |reason| report.tell(reason, peer);
                            connection::run(wire, dispatcher, &drain, told).await;
                        }
                        Err(stream) => {
                            report.tell(Reason::NoRoom, peer);
                            connection::turn_away(stream, &drain).await;
                        }
                    }
                    Ok(())
                }
            })
        })?;
        Ok(server.run())
    }
}
