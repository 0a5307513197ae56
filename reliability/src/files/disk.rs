//! A full disk: writes are refused with a 5xx, reads go on, nothing that was acknowledged is lost, and writes
//! work again once there is room.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Server;
use crate::report::Measured;
use crate::settings::{Outcome, Settings};
use crate::wire::Request;
use crate::world::{Account, GROUP, World};

const PATIENCE: Duration = Duration::from_secs(20);
/// The size of the disk, and of the file that fills most of it.
const DISK_BYTES: usize = 32 * 1024 * 1024;
const FILLER_BYTES: usize = 20 * 1024 * 1024;
/// Where nothing can be mounted, the size that no file may exceed, in blocks of 512 bytes.
const FILE_BLOCKS: usize = 8 * 1024 * 1024 / 512;

/// A small disk in memory.
struct Disk(PathBuf);

impl Disk {
    /// Mounts it. `None` where this program may not.
    fn mount(folder: &Path) -> Option<Self> {
        let place = folder.join("disk");
        fs::create_dir(&place).ok()?;
        let size = format!("size={DISK_BYTES}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&place).output().ok()?;
        mounted.status.success().then_some(Self(place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Fills a disk.
pub(super) fn measure(settings: &Settings) -> Outcome<Measured> {
    let world = World::copy(&settings.binary, &settings.template())?;
    let disk = Disk::mount(world.folder());
    let mut launch = world.launch.clone();
    if let Some(Disk(place)) = &disk {
        let file = place.join("store.db");
        fs::copy(world.file(), &file).map_err(|error| format!("the store is not copied: {error}"))?;
        fs::write(place.join("filler"), vec![0; FILLER_BYTES])
            .map_err(|error| format!("no filler: {error}"))?;
        launch.store = format!("sqlite:{}", file.display());
    } else {
        // Without the trap, the kernel would end the process at the limit.
        let script = format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS}; exec \"$@\"");
        launch.wrapper = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    }
    let log = world.folder().join("server.log");
    let mut server = launch.start(&log)?;
    let mut faults = Vec::new();
    let mut acknowledged = Vec::new();
    let mut refused = 0_u64;
    let mut statuses = std::collections::BTreeMap::<String, u64>::new();
    let begun = Instant::now();
    for number in 0..400 {
        if refused >= 20 || begun.elapsed() > Duration::from_secs(120) {
            break;
        }
        match put(&server, &world.bad, number) {
            Ok(201) => acknowledged.push(number),
            Ok(status) => {
                refused += 1;
                *statuses.entry(status.to_string()).or_insert(0) += 1;
                if !(500..600).contains(&status) {
                    faults.push(format!("a write on a full disk was answered with {status}"));
                }
            }
            Err(error) => {
                refused += 1;
                faults.push(format!("a write on a full disk had no answer: {error}"));
            }
        }
    }
    if refused == 0 {
        faults.push(format!("the disk did not fill up with {} groups", acknowledged.len()));
    }
    faults.extend(reads(&server, &world, &acknowledged, "on the full disk"));
    if !server.is_alive() {
        faults.push("the process ended on the full disk".to_owned());
    }
    let panics = server.kill();
    let mut server =
        launch.start(&log).map_err(|error| format!("it does not start on the full disk: {error}"))?;
    faults.extend(reads(&server, &world, &acknowledged, "after a kill on the full disk"));
    if let Some(Disk(place)) = &disk {
        fs::remove_file(place.join("filler")).map_err(|error| error.to_string())?;
        match put(&server, &world.bad, 1_000) {
            Ok(201) => acknowledged.push(1_000),
            other => faults.push(format!("with room again, a write was answered with {other:?}")),
        }
        faults.extend(reads(&server, &world, &acknowledged, "with room again"));
    }
    if !server.is_alive() {
        faults.push("the process ended".to_owned());
    }
    if panics + server.panics() > 0 {
        faults.push(format!("{} panics", panics + server.panics()));
    }
    drop(server);
    let figures = json!({
        "by": if disk.is_some() { "a small disk" } else { "a limit on files" },
        "acknowledged": acknowledged.len(),
        "refused": refused,
        "refusals": statuses,
    });
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}

/// Creates a group of 200 kB and answers the status.
fn put(server: &Server, account: &Account, number: usize) -> std::io::Result<u16> {
    let data = json!({"data": {"id": format!("full{number}"), "name": format!("{number}"), "text": "x".repeat(200_000)}});
    let request = Request::new("PUT", account.groups("")).token(&account.token).json(data.to_string());
    request.ask(server.address, PATIENCE).map(|answer| answer.status)
}

/// The faults in reads of acknowledged documents.
fn reads(server: &Server, world: &World, acknowledged: &[usize], when: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut read = |account: &Account, id: &str, name: &str| {
        let request = Request::new("GET", account.groups(&format!("/{id}"))).token(&account.token);
        let answer = request.ask(server.address, PATIENCE);
        let is_good = answer.as_ref().is_ok_and(|answer| {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
            answer.status == 200 && body["data"]["name"] == name
        });
        if !is_good {
            let what = answer.map_or_else(|error| error.to_string(), |answer| answer.status.to_string());
            faults.push(format!("{when}, {id} was answered with {what}"));
        }
    };
    read(&world.good, GROUP, "the good one");
    for number in acknowledged {
        read(&world.bad, &format!("full{number}"), &number.to_string());
    }
    faults
}
