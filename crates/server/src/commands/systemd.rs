//! Tells systemd, or another manager of services that speaks its protocol, what the server is doing. Without
//! `NOTIFY_SOCKET` in the environment, nothing is sent.

use sd_notify::NotifyState;

/// The server serves.
pub(super) fn serves() {
    tell(&[NotifyState::Ready]);
}

/// The server reads its settings again.
pub(super) fn reloads() {
    tell(&[NotifyState::Reloading]);
}

/// The server stops.
pub(super) fn stops() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd was not told what the server does: {error}");
    }
}
