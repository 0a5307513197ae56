//! The figures about the process that Prometheus' own libraries show too, by the same names. They come from
//! `/proc`; where that is missing, they are left out.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::reading::{Kind, Reading, number, number_of_u64};

/// Reads the figures about this process.
#[derive(Debug)]
pub(super) struct Process;

/// What the system tells about this process.
struct Told {
    cpu_seconds: f64,
    start_seconds: f64,
    threads: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
    open_files: f64,
    max_files: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(told) = Told::read() else { return Ok(()) };
        for (name, help, kind, value) in [
            (
                "process_cpu_seconds",
                "Processor time that the process has used",
                Kind::Counter,
                told.cpu_seconds,
            ),
            (
                "process_start_time_seconds",
                "When the process started, since 1970",
                Kind::Gauge,
                told.start_seconds,
            ),
            ("process_threads", "Threads of the process", Kind::Gauge, told.threads),
            ("process_virtual_memory_bytes", "Address space of the process", Kind::Gauge, told.virtual_bytes),
            (
                "process_resident_memory_bytes",
                "Memory that the process holds",
                Kind::Gauge,
                told.resident_bytes,
            ),
            ("process_open_fds", "Open files and connections", Kind::Gauge, told.open_files),
            ("process_max_fds", "The limit of open files and connections", Kind::Gauge, told.max_files),
        ] {
            Reading::one(name, help, kind, move || value).write_to(&mut encoder)?;
        }
        Ok(())
    }
}

impl Told {
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program stands in brackets and may hold anything.
        let (_, after_name) = stat.rsplit_once(") ")?;
        let fields: Vec<f64> =
            after_name.split(' ').map(|field| field.trim().parse().unwrap_or(0.0)).collect();
        // The first field after the name is field 3 of proc(5).
        let field = |number: usize| fields.get(number.checked_sub(3)?).copied();
        let (ticks, page) = (ticks_per_second(), page_bytes());
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let max_files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let max_files = max_files.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            start_seconds: booted_at()? + field(22)? / ticks,
            threads: field(20)?,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page,
            open_files: number(fs::read_dir("/proc/self/fd").ok()?.count()),
            max_files: max_files.unwrap_or(0.0),
        })
    }
}

fn ticks_per_second() -> f64 {
    number_of_u64(rustix::param::clock_ticks_per_second())
}

fn page_bytes() -> f64 {
    number(rustix::param::page_size())
}

/// When the machine was started, in seconds since 1970.
fn booted_at() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Told;

    #[test]
    fn the_figures_of_this_process_are_plausible() {
        let told = Told::read().unwrap();
        assert!(told.resident_bytes > 1e6 && told.resident_bytes < 1e11, "{}", told.resident_bytes);
        assert!(told.virtual_bytes >= told.resident_bytes && told.threads >= 1.0);
        assert!(told.open_files >= 3.0 && told.max_files >= told.open_files);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(told.start_seconds <= now + 2.0 && told.start_seconds > now - 1e6);
        assert!(told.cpu_seconds < 1e6);
    }
}
