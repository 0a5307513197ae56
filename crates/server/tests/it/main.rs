//! The server from outside: the built binary, over a socket.

mod conformance;
mod http_client;
mod matching;
mod process;
mod seed;
mod tokens;
