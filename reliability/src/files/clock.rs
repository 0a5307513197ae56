//! A clock that jumps while the server runs: a year forward, two days back, and home again. Tokens expire by
//! the clock; nothing else may depend on it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::Measured;
use crate::report;
use crate::wire::{Kept, Request};
use crate::world::{GROUP, World};
use crate::{Outcome, Settings};

const PATIENCE: Duration = Duration::from_secs(15);

/// The paths of the library that fakes the clock.
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// Lets the clock jump.
pub(super) fn measure(settings: &Settings) -> Outcome<Measured> {
    let Some(library) = LIBRARIES.iter().find(|path| Path::new(path).exists()) else {
        return Ok(report::skipped("libfaketime is not installed (Debian: faketime)"));
    };
    let world = World::copy(&settings.binary, &settings.template())?;
    let clock = world.folder().join("clock");
    let set = |offset: &str| fs::write(&clock, format!("{offset}\n")).map_err(|error| error.to_string());
    set("+0")?;
    let mut launch = world.launch.clone();
    launch.wrapper = vec![
        "env".to_owned(),
        format!("LD_PRELOAD={library}"),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let mut server = launch.start(&world.folder().join("server.log"))?;
    let mut connection = Kept::new(server.address, PATIENCE);
    let good = &world.good;
    let mut faults = Vec::new();
    let mut steps = Vec::new();
    // The token is good for a day from now: it has expired a year later.
    for (number, (offset, expected)) in
        [("+0", true), ("+365d", false), ("+0", true), ("-2d", true), ("+20h", true), ("+0", true)]
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
                        faults.push(format!("at {offset}, {what} was answered with {}", answer.status));
                    }
                }
                Err(error) => faults.push(format!("at {offset}, {what} had no answer: {error}")),
            }
        }
        steps.push(format!("{offset}: {}", statuses.join(" ")));
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
