//! What signals make a server do: SIGTERM lets it drain and stop, SIGINT stops it at once, SIGHUP lets it read its
//! settings again.

use std::pin::pin;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use futures::future;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reload;
use super::systemd;
use crate::failure::Failure;
use crate::logging::RELOAD;

/// Keeps SIGHUP from ending the process from now on. A server must do it before anything that takes time.
pub(crate) fn outlive_hangups() {
    let Ok(runtime) = Builder::new_current_thread().enable_io().build() else { return };
    let _within = runtime.enter();
    // tokio's handler stays when the runtime is gone. If there is none, `hangups` says why.
    drop(signal(SignalKind::hangup()));
}

/// Listens for SIGHUP. It must run within a runtime.
pub(super) fn hangups() -> Result<Signal, Failure> {
    listen(SignalKind::hangup())
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::setup(format!("cannot listen for signals: {error}")))
}

/// Does what signals say, until the servers have stopped.
pub(super) fn obey(
    mut hangups: Signal,
    servers: [ServerHandle; 2],
    mut reload: Reload,
) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    actix_web::rt::spawn(async move {
        let drain = loop {
            tokio::select! {
                _ = hangups.recv() => {
                    systemd::reloads();
                    reload.run();
                    systemd::serves();
                }
                _ = terminate.recv() => break reload.drain(),
                _ = interrupt.recv() => break Duration::ZERO,
            }
        };
        systemd::stops();
        reload.note_stop();
        if !drain.is_zero() {
            let drain_seconds = drain.as_secs();
            log::info!(
                drain_seconds;
                "draining: not ready any more, and still serving; another SIGTERM or SIGINT ends the wait"
            );
            let over = async {
                tokio::select! {
                    () = tokio::time::sleep(drain) => {}
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            };
            refuse_hangups_until(over, &mut hangups).await;
        }
        log::info!("stopping: running requests may finish");
        let stopped = future::join_all(servers.iter().map(|server| server.stop(true)));
        refuse_hangups_until(stopped, &mut hangups).await;
    });
    Ok(())
}

/// A server that is about to stop takes no new settings, and says so.
async fn refuse_hangups_until<T>(over: impl Future<Output = T>, hangups: &mut Signal) {
    let mut over = pin!(over);
    loop {
        tokio::select! {
            _ = &mut over => return,
            Some(()) = hangups.recv() => {
                log::warn!(target: RELOAD, "the settings were not read again, because the server is stopping");
            }
        }
    }
}
