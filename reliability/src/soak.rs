//! A soak: half of what the server can do, for minutes, beside thousands of idle connections and floods of
//! heads. Memory and open files must stay flat.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::crowd::{self, Pace};
use crate::report::{Report, print_row};
use crate::settings::{Outcome, Settings};
use crate::table::input::Victim;
use crate::table::{inputs, millis, send_all};
use crate::wire::established_ports;
use crate::world::World;

const CLIENTS: usize = 8;
const IDLE: usize = 10_000;
/// How much the fitted lines of memory and open files may rise over the whole soak.
const MEMORY_RISE_KB: f64 = 16.0 * 1024.0;
const FILES_RISE: f64 = 50.0;
/// Floods that go on beside, one after another.
const FLOODS: [&str; 4] = ["heads-slow", "heads-endless", "headers-many", "heads-dripped"];

/// Runs the section.
pub(crate) fn run(settings: &Settings, report: &mut Report, minutes: usize) -> Outcome {
    println!("a soak of {minutes} minutes at half of what the server can do");
    let name = format!("{minutes} minutes");
    if let Some(row) = report.earlier("soak", &name) {
        print_row(&row);
        return Ok(());
    }
    let duration = Duration::from_secs(60) * u32::try_from(minutes).map_err(|error| error.to_string())?;
    let (figures, faults) = measure(settings, duration).unwrap_or_else(|error| (Map::new(), vec![error]));
    report.add("soak", &name, figures, &faults)
}

fn measure(settings: &Settings, duration: Duration) -> Outcome<(Map<String, Value>, Vec<String>)> {
    let world = World::copy(&settings.binary, &settings.template())?;
    world.import(&crowd::seed(&world.good, CLIENTS))?;
    let mut server = world.start()?;
    let address = server.address;
    let rate = capacity(address, &world);
    let interval = Duration::from_secs_f64(2.0 * CLIENTS as f64 / rate.max(1.0));
    println!("  {rate:.0} requests a second at most, {:.0} from here on", rate / 2.0);
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let (served, samples, idle_closed) = thread::scope(|scope| {
        let good = scope.spawn(|| crowd::run(address, &world.good, CLIENTS, pace(Some(interval)), &stop));
        let idle = scope.spawn(|| keep_idle(address, &stop));
        scope.spawn(|| flood(address, &world, &stop));
        let mut samples = Vec::new();
        let mut told = Instant::now();
        while begun.elapsed() < duration && server.is_alive() {
            thread::sleep(Duration::from_secs(1));
            samples.push((begun.elapsed().as_secs_f64(), server.resident_kb(), server.open_files()));
            if told.elapsed() > Duration::from_secs(60) {
                told = Instant::now();
                let (resident, files) = (server.resident_kb() / 1024, server.open_files());
                println!("    {:.0?}: {resident} MB, {files} open files", begun.elapsed());
            }
        }
        stop.store(true, Ordering::Relaxed);
        (good.join().unwrap_or_default(), samples, idle.join().unwrap_or(0))
    });
    // Caches fill in the beginning.
    let late: Vec<_> = samples.iter().filter(|(at, ..)| *at > duration.as_secs_f64() * 0.25).collect();
    let rise = |values: Vec<(f64, f64)>| slope(&values) * duration.as_secs_f64();
    let memory_rise = rise(late.iter().map(|(at, kb, _)| (*at, *kb as f64)).collect());
    let files_rise = rise(late.iter().map(|(at, _, files)| (*at, *files as f64)).collect());
    let mut faults = Vec::new();
    if !server.is_alive() {
        faults.push(format!("the process ended after {:.0?}", begun.elapsed()));
    }
    if memory_rise > MEMORY_RISE_KB {
        faults.push(format!("memory rises by {memory_rise:.0} kB in {duration:.0?}"));
    }
    if files_rise > FILES_RISE {
        faults.push(format!("open files rise by {files_rise:.0} in {duration:.0?}"));
    }
    if served.thousandths() < 1000 {
        faults.push(format!("not every request succeeded: {:?}", served.failures));
    }
    match server.stop() {
        Ok(0) => {}
        Ok(panics) => faults.push(format!("{panics} panics")),
        Err(error) => faults.push(error),
    }
    let figures = json!({
        "capacity_per_s": rate as u64,
        "requests": served.count(),
        "good_per_1000": served.thousandths(),
        "p50_ms": millis(served.percentile(50)),
        "p99_ms": millis(served.percentile(99)),
        "slowest_ms": millis(served.percentile(100)),
        "idle": IDLE,
        "idle_closed": idle_closed,
        "highest_kb": samples.iter().map(|(_, kb, _)| *kb).max().unwrap_or(0),
        "memory_rise_kb": memory_rise as i64,
        "most_files": samples.iter().map(|(.., files)| *files).max().unwrap_or(0),
        "files_rise": files_rise as i64,
    });
    Ok((figures.as_object().cloned().unwrap_or_default(), faults))
}

fn pace(interval: Option<Duration>) -> Pace {
    Pace { request: crowd::mix, interval }
}

/// How many requests a second are answered when each client sends as fast as it can.
fn capacity(address: SocketAddr, world: &World) -> f64 {
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    let served = thread::scope(|scope| {
        let good = scope.spawn(|| crowd::run(address, &world.good, CLIENTS, pace(None), &stop));
        thread::sleep(Duration::from_secs(5));
        stop.store(true, Ordering::Relaxed);
        good.join().unwrap_or_default()
    });
    served.count() as f64 / begun.elapsed().as_secs_f64()
}

/// Keeps idle connections. Those that the server closes are opened again. Answers how many it closed.
fn keep_idle(address: SocketAddr, stop: &AtomicBool) -> u64 {
    let mut idle: Vec<TcpStream> = Vec::new();
    let mut closed = 0;
    while !stop.load(Ordering::Relaxed) {
        let open = established_ports();
        let before = idle.len();
        idle.retain(|stream| stream.local_addr().is_ok_and(|own| open.contains(&own.port())));
        closed += u64::try_from(before - idle.len()).unwrap_or(0);
        while idle.len() < IDLE && !stop.load(Ordering::Relaxed) {
            match TcpStream::connect_timeout(&address, Duration::from_secs(2)) {
                Ok(mut stream) => {
                    // A connection that has had a request is kept longer than one that never had any.
                    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                    idle.push(stream);
                }
                Err(_) => break,
            }
        }
        thread::sleep(Duration::from_secs(1));
    }
    closed
}

fn flood(address: SocketAddr, world: &World, stop: &AtomicBool) {
    let sent = AtomicU64::new(0);
    let floods: Vec<_> = inputs().into_iter().filter(|input| FLOODS.contains(&input.name)).collect();
    for input in floods.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        send_all(
            address,
            &(input.loads)(&Victim::whole(&world.bad)),
            &sent,
            Instant::now() + Duration::from_secs(5),
        );
        thread::sleep(Duration::from_secs(5));
    }
}

/// The slope of the line that fits best.
fn slope(values: &[(f64, f64)]) -> f64 {
    let count = values.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| values.iter().map(pick).sum::<f64>() / count.max(1.0);
    let (mean_x, mean_y) = (mean(|value| value.0), mean(|value| value.1));
    let above: f64 = values.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let below: f64 = values.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::slope;

    #[test]
    fn a_line_has_its_slope() {
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 1.0)]).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9);
    }
}
