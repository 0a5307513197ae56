//! Changes of an embedded store by the server that has it open: commands hand them over through a Unix socket
//! beside the store. Only the user that runs the server, and root, may use it; nothing of it is on the network.
//! A request is one line of JSON, and so is its answer.

use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datastore::Backend;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::Change;
use super::make::make;
use crate::failure::Failure;
use crate::supervisor::StopSignal;

/// How long the server waits for a command's request, and for the command to take its answer.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long a command waits for the answer. A change may read a whole database.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);

/// A command that waits longer says so.
const SILENT_WAIT: Duration = Duration::from_secs(2);

/// The longest request, in bytes. A password has at most 4,096.
const MAX_REQUEST: u64 = 64 * 1024;

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
enum CommandReply {
    /// The lines that the command prints.
    Done(Vec<String>),
    /// Why the change was not made, and whether nothing was changed.
    Failed { message: String, is_setup: bool },
}

/// The socket of a store.
fn socket_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".sock");
    PathBuf::from(name)
}

/// Asks the server that has the store open to make a change. `None` if there is no such server.
pub(super) fn ask(store: &Path, change: &Change) -> Result<Option<Vec<String>>, Failure> {
    let Ok(socket) = UnixStream::connect(socket_of(store)) else { return Ok(None) };
    let reply = talk(socket, change, store).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("within {} seconds", ANSWER_PATIENCE.as_secs())
            }
            _ => format!("({error})"),
        };
        Failure::run(format!(
            "the server that has {} open gave no answer {why}: look into its log to see whether the change was made",
            store.display()
        ))
    })?;
    match reply {
        CommandReply::Done(lines) => Ok(Some(lines)),
        CommandReply::Failed { message, is_setup: true } => Err(Failure::setup(message)),
        CommandReply::Failed { message, .. } => Err(Failure::run(message)),
    }
}

fn talk(mut socket: UnixStream, change: &Change, store: &Path) -> io::Result<CommandReply> {
    socket.set_write_timeout(Some(REQUEST_PATIENCE))?;
    serde_json::to_writer(&socket, change)?;
    socket.write_all(b"\n")?;
    socket.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    socket.set_read_timeout(Some(SILENT_WAIT))?;
    if let Err(error) = socket.read_to_end(&mut answer) {
        if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return Err(error);
        }
        super::super::tell(&format!(
            "waiting for the server that has {} open, {} seconds at most",
            store.display(),
            ANSWER_PATIENCE.as_secs()
        ));
        socket.set_read_timeout(Some(ANSWER_PATIENCE))?;
        // What was read before stays.
        socket.read_to_end(&mut answer)?;
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Serves the socket of a store until the server stops.
pub(in crate::commands) async fn serve(
    store: PathBuf,
    backend: Arc<dyn Backend>,
    mut stop: StopSignal,
) -> Result<(), String> {
    let path = socket_of(&store);
    let (listener, owner) = match listen(&path) {
        Ok(opened) => opened,
        // The name of a socket may have 107 bytes. It will not get shorter.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            log::warn!(
                "the store's path is too long for a socket beside it: stop the server before commands that change \
                 the store"
            );
            return Ok(());
        }
        Err(error) => return Err(format!("cannot open {}: {error}", path.display())),
    };
    let remove = Remove(path);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.stopped() => break,
        };
        let (socket, _) = accepted.map_err(|error| error.to_string())?;
        let uid = socket.peer_cred().map_err(|error| error.to_string())?.uid();
        if uid != owner && uid != 0 {
            log::warn!(uid; "another user wants to change the store, and is refused");
            continue;
        }
        // One change at a time. A command that is slow to ask gives up its turn.
        if let Err(error) = answer(socket, &*backend, uid).await {
            log::warn!(uid; "a command was not answered: {error}");
        }
    }
    drop(remove);
    Ok(())
}

/// Opens the socket. The lock on the store is ours, so a socket that is there was left by a killed server.
fn listen(path: &Path) -> io::Result<(UnixListener, u32)> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok((listener, fs::metadata(path)?.uid()))
}

/// Removes the socket at the end.
struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        // The next server removes it if this fails.
        let _ = fs::remove_file(&self.0);
    }
}

async fn answer(socket: tokio::net::UnixStream, backend: &dyn Backend, uid: u32) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let socket = socket.into_std().map_err(text)?;
    socket.set_nonblocking(false).map_err(text)?;
    let reader = socket.try_clone().map_err(text)?;
    let read = tokio::task::spawn_blocking(move || read_request(&reader));
    let change = read.await.map_err(|error| error.to_string())??;
    // Nobody expects the change of a command that was stopped while it waited for its turn. Where nobody reads any more,
    // to write nothing fails.
    if (&socket).write(&[]).is_err() {
        return Err("it has gone, and its change was not made".to_owned());
    }
    let (command, about) = (change.command(), change.about());
    let [account, user, key] = [about.account, about.user, about.key].map(|name| name.map(str::to_owned));
    let reply = match make(change, backend).await {
        Ok(lines) => {
            log::info!(
                command, uid, account = account.as_deref(), user = user.as_deref(), key = key.as_deref();
                "a command has changed the store"
            );
            CommandReply::Done(lines)
        }
        Err(failure) => CommandReply::Failed { message: failure.to_string(), is_setup: failure.is_setup() },
    };
    let write = tokio::task::spawn_blocking(move || {
        socket.set_write_timeout(Some(REQUEST_PATIENCE))?;
        serde_json::to_writer(&socket, &reply).map_err(io::Error::from)
    });
    write.await.map_err(|error| error.to_string())?.map_err(text)
}

/// Reads the request of a command. Errors do not repeat it, because it may hold a password.
fn read_request(socket: &UnixStream) -> Result<Change, String> {
    socket.set_read_timeout(Some(REQUEST_PATIENCE)).map_err(|error| error.to_string())?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(socket.take(MAX_REQUEST));
    reader.read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
    serde_json::from_slice(&line).map_err(|error| {
        format!("its request cannot be read, at column {}; has it another version?", error.column())
    })
}
