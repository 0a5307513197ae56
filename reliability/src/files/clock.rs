//! A clock that jumps while the server runs: a year forward, two days back, and home again. Tokens expire by
//! the clock; nothing else may depend on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::report::Measured;
use crate::settings::{Outcome, Settings};
use crate::wire::{Kept, Request};
use crate::world::{GROUP, World};

const PATIENCE: Duration = Duration::from_secs(15);

/// The library that makes the clock jump.
const LIBRARY: &str = include_str!("clock.c");

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// Lets the clock jump.
pub(super) fn measure(settings: &Settings) -> Outcome<Measured> {
    let world = World::copy(&settings.binary, &settings.template())?;
    let library = build(world.folder())?;
    let clock = world.folder().join("clock");
    let set = |offset: i64| fs::write(&clock, offset.to_string()).map_err(|error| error.to_string());
    set(0)?;
    let mut launch = world.launch.clone();
    launch.wrapper = vec![
        "env".to_owned(),
        format!("LD_PRELOAD={}", library.display()),
        format!("CLOCK_OFFSET={}", clock.display()),
    ];
    let mut server = launch.start(&world.folder().join("server.log"))?;
    let mut connection = Kept::new(server.address, PATIENCE);
    let good = &world.good;
    let mut faults = Vec::new();
    let mut steps = Vec::new();
    // The token is good for a day from now: it has expired a year later.
    for (number, (offset, expected)) in
        [(0, true), (365 * DAY, false), (0, true), (-2 * DAY, true), (20 * HOUR, true), (0, true)]
            .into_iter()
            .enumerate()
    {
        set(offset)?;
        let data = json!({"data": {"id": format!("clock{number}"), "name": "x"}}).to_string();
        let requests = [
            ("GET", Request::new("GET", good.groups(&format!("/{GROUP}")))),
            ("list", Request::new("GET", good.groups(""))),
            ("by user", Request::new("GET", good.groups_of_user(""))),
            ("PUT", Request::new("PUT", good.groups("")).json(data)),
        ];
        let mut statuses = Vec::new();
        for (what, request) in requests {
            match connection.ask(&request.token(&good.token)) {
                Ok(answer) => {
                    statuses.push(answer.status.to_string());
                    let is_good =
                        if expected { matches!(answer.status, 200 | 201) } else { answer.status == 401 };
                    if !is_good {
                        faults.push(format!("at {offset} s, {what} was answered with {}", answer.status));
                    }
                }
                Err(error) => faults.push(format!("at {offset} s, {what} had no answer: {error}")),
            }
        }
        steps.push(format!("{offset:+} s: {}", statuses.join(" ")));
    }
    if !server.is_alive() {
        faults.push("the process ended".to_owned());
    }
    if server.panics() > 0 {
        faults.push(format!("{} panics", server.panics()));
    }
    let figures = json!({"steps": steps});
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}

/// Compiles the library into a folder. A C compiler is there, since the server needs one too.
fn build(folder: &Path) -> Outcome<PathBuf> {
    let (source, library) = (folder.join("clock.c"), folder.join("clock.so"));
    fs::write(&source, LIBRARY).map_err(|error| error.to_string())?;
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    let built = compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output();
    let built = built.map_err(|error| format!("cc: {error}"))?;
    match built.status.success() {
        true => Ok(library),
        false => Err(format!("cc: {}", String::from_utf8_lossy(&built.stderr))),
    }
}
