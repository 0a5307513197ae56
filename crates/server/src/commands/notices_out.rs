//! Change notices of a command. The command ends once the brokers have the notices of what it has changed, or do not
//! answer.

use std::future::Future;
use std::time::Duration;

use datastore::random_hex;
use futures::channel::oneshot;
use futures::future;
use notices::{Amqp, Notices, Settings};
use tokio::time::{sleep, timeout};

use super::changes;
use super::serve::notice_settings;
use crate::failure::Failure;
use crate::settings::NoticeSettings;

/// How long a command waits for the brokers after its change.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it looks whether they have all notices.
const LOOK: Duration = Duration::from_millis(10);

/// The settings of a command's notices, if there is a broker. A server on the store may have the configured name, and
/// its marks must not be taken for those of the command.
pub(super) fn settings(declared: &NoticeSettings) -> Option<Settings> {
    notice_settings(declared).map(|settings| Settings { node: name_of_command(&settings.node), ..settings })
}

fn name_of_command(node: &str) -> String {
    let own: String = random_hex().chars().take(8).collect();
    match node.split_once('@') {
        Some((name, host)) => format!("{name}_command_{own}@{host}"),
        None => format!("{node}_command_{own}"),
    }
}

/// Makes a change, and waits until the brokers have its notices. Returns the change's lines, with a warning if the
/// brokers do not have them.
pub(super) async fn made_and_told(
    change: impl Future<Output = Result<Vec<String>, Failure>>,
    notices: &Notices,
    declared: &NoticeSettings,
) -> Result<Vec<String>, Failure> {
    let brokers = Amqp::new(declared.amqp.clone(), declared.node_name.clone());
    let (end, ended) = oneshot::channel::<()>();
    let making = async {
        let made = change.await;
        let told = async {
            while notices.counts().waiting > 0 {
                sleep(LOOK).await;
            }
        };
        // What is left is counted below.
        let _ = timeout(PATIENCE, told).await;
        drop(end);
        made
    };
    let stop = async {
        // The sender is dropped, and never sends.
        let _ = ended.await;
    };
    let (made, ()) = future::join(making, notices.run(&brokers, stop)).await;
    let mut lines = made?;
    let counts = notices.counts();
    if counts.waiting > 0 || counts.dropped > 0 {
        lines.push(changes::warning(
            "the change is made, but no broker of the setting amqp has been told: Kazoo's nodes may see it up to 15 \
             minutes late, unless a server of this program tells it a minute from now",
        ));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::name_of_command;

    #[test]
    fn a_command_has_a_name_of_its_own_on_the_servers_host() {
        let names = [name_of_command("crossbar_groups@here"), name_of_command("crossbar_groups@here")];
        assert_ne!(names[0], names[1]);
        for name in names {
            assert!(name.starts_with("crossbar_groups_command_") && name.ends_with("@here"), "{name}");
        }
        assert!(name_of_command("plain").starts_with("plain_command_"));
    }
}
