//! The last warnings and errors, for the status page. An event that happens again takes no second place: it is
//! counted, so that a flood of one event does not push out the others.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use serde_json::{Value, json};

use super::fields;
use super::format::{Stamp, shortened};

/// How many events are kept.
const KEPT: usize = 20;

/// How long a text of an event may be, in bytes. The rest is left out.
const MOST_TEXT: usize = 500;

/// The module whose warnings and errors are strangers' doing alone.
pub(super) const STRANGERS_OWN: &str = "actix_http";

/// The last warnings and errors of this process.
static RECENT: Mutex<Recent> = Mutex::new(Recent { events: VecDeque::new() });

/// The last warnings and errors, the newest first.
pub(crate) fn recent() -> Vec<Value> {
    lock().events.iter().rev().map(Event::shown).collect()
}

/// Nothing panics while it holds the lock.
fn lock() -> MutexGuard<'static, Recent> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a record if it is a warning or an error, unless any stranger can cause it at will.
pub(super) fn note(record: &Record<'_>) {
    if record.level() <= Level::Warn && !record.target().starts_with(STRANGERS_OWN) {
        let event = Event::of(record);
        lock().take(event);
    }
}

/// A log that also keeps the last warnings and errors, whether or not its filters let them pass.
pub(super) struct Keeping<L>(pub(super) L);

/// The least level that must reach a keeping log, if `level` must reach the inner one.
pub(super) fn least_level(level: LevelFilter) -> LevelFilter {
    level.max(LevelFilter::Warn)
}

impl<L: Log> Log for Keeping<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn || self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        note(record);
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

struct Recent {
    /// The newest is the last.
    events: VecDeque<Event>,
}

impl Recent {
    fn take(&mut self, mut event: Event) {
        if let Some(place) = self.events.iter().position(|other| other.is_like(&event)) {
            let earlier = self.events.remove(place);
            event.times = event.times.saturating_add(earlier.map_or(0, |earlier| earlier.times));
        } else if self.events.len() >= KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// A warning or an error.
struct Event {
    time: String,
    level: Level,
    target: String,
    message: String,
    /// As the log writes them: ` key=value`.
    fields: String,
    /// How many times it happened.
    times: u64,
}

impl Event {
    fn of(record: &Record<'_>) -> Self {
        let mut written = Vec::new();
        // Writing into memory does not fail. A field that cannot be shown is left out.
        let _ = fields::write(&mut written, record.key_values());
        Self {
            time: Stamp.to_string(),
            level: record.level(),
            target: record.target().to_owned(),
            message: shortened(&record.args().to_string(), MOST_TEXT).into_owned(),
            fields: shortened(String::from_utf8_lossy(&written).trim_start(), MOST_TEXT).into_owned(),
            times: 1,
        }
    }

    /// Whether this is the same event at another time.
    fn is_like(&self, other: &Self) -> bool {
        (self.level, &self.target, &self.message) == (other.level, &other.target, &other.message)
    }

    fn shown(&self) -> Value {
        json!({
            "time": self.time, "level": self.level.as_str().to_lowercase(), "target": self.target,
            "message": self.message, "fields": self.fields, "times": self.times,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use log::{Level, LevelFilter, Log, Metadata, Record};

    use super::{Event, KEPT, Keeping, Recent, least_level, recent};

    fn event(message: &str, number: usize) -> Event {
        let number = number.to_string();
        let fields = [("request_id", number.as_str())];
        Event::of(
            &Record::builder()
                .args(format_args!("{message}"))
                .level(Level::Warn)
                .target("server::http")
                .key_values(&fields)
                .build(),
        )
    }

    #[test]
    fn a_flood_of_one_event_leaves_the_others() {
        let mut recent = Recent { events: VecDeque::new() };
        recent.take(event("first", 0));
        for number in 0..1_000 {
            recent.take(event("flood", number));
        }
        let [first, flood] = recent.events.make_contiguous() else { panic!("two events") };
        assert_eq!((first.message.as_str(), first.times), ("first", 1));
        assert_eq!((flood.times, flood.fields.as_str()), (1_000, "request_id=999"));
        recent.take(event("first", 1));
        assert_eq!(recent.events.back().unwrap().times, 2);
    }

    #[test]
    fn events_and_their_texts_are_bounded() {
        let mut recent = Recent { events: VecDeque::new() };
        for number in 0..100 {
            recent.take(event(&format!("{number} {}", "ä".repeat(10_000)), number));
        }
        assert_eq!(recent.events.len(), KEPT);
        assert!(recent.events.iter().all(|event| event.message.len() < 520), "{}", recent.events[0].message);
        assert!(recent.events.back().unwrap().message.starts_with("99 "));
    }

    #[test]
    fn warnings_are_kept_even_if_the_log_leaves_them_out() {
        struct Off;
        impl Log for Off {
            fn enabled(&self, _: &Metadata<'_>) -> bool {
                false
            }
            fn log(&self, _: &Record<'_>) {}
            fn flush(&self) {}
        }
        let log = Keeping(Off);
        for (level, text) in [(Level::Info, "an info of this test"), (Level::Warn, "a warning of this test")]
        {
            log.log(&Record::builder().args(format_args!("{text}")).level(level).build());
        }
        let of_test: Vec<_> = recent()
            .iter()
            .filter_map(|event| event["message"].as_str().map(str::to_owned))
            .filter(|message| message.ends_with("of this test"))
            .collect();
        assert_eq!(of_test, ["a warning of this test"]);
        assert!(!log.enabled(&Metadata::builder().level(Level::Info).build()));
        assert_eq!(least_level(LevelFilter::Off), LevelFilter::Warn);
        assert_eq!(least_level(LevelFilter::Debug), LevelFilter::Debug);
    }
}
