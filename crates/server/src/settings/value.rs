//! The types that a setting can have, and how each is read from text.
//!
//! An error is the rest of a sentence that begins with the setting's name, like "must be at least 1".

use std::net::SocketAddr;
use std::time::Duration;

use embedded::Durability;
use ipnet::IpNet;
use log::LevelFilter;
use notices::BrokerUrl;

use super::location::StoreLocation;
use super::origin::Origin;
use super::setting::{Shape, numbers};
use crate::counterpart::CounterpartUrl;
use crate::logging::LogFormat;
use crate::profile::Release;
use crate::release::ProfileSetting;

/// A type that a setting can have.
pub(crate) trait Value: Sized {
    /// How it is written.
    const SHAPE: Shape;
    /// The smallest and largest number, unless the setting has its own.
    const RANGE: (u64, u64) = (1, u64::MAX);

    /// Reads a value.
    fn parse(text: &str, range: (u64, u64)) -> Result<Self, String>;

    /// Whether the value holds a password, which other users of the machine could see on the command line.
    fn holds_password(&self) -> bool {
        false
    }

    /// The text as other people may see it.
    fn shown(text: &str) -> String {
        if Self::SHAPE.is_secret() { "***".to_owned() } else { text.to_owned() }
    }

    /// The value of a setting that has no text, where that means something.
    fn absent() -> Option<Self> {
        None
    }
}

impl Value for String {
    const SHAPE: Shape = Shape::Text;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        if text.is_empty() {
            Err("is empty: leave it out, or give it a value".to_owned())
        } else {
            Ok(text.to_owned())
        }
    }
}

impl<T: Value> Value for Option<T> {
    const SHAPE: Shape = T::SHAPE;
    const RANGE: (u64, u64) = T::RANGE;

    fn parse(text: &str, range: (u64, u64)) -> Result<Self, String> {
        T::parse(text, range).map(Some)
    }

    fn shown(text: &str) -> String {
        T::shown(text)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Value for bool {
    const SHAPE: Shape = Shape::Switch;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        text.parse().map_err(|_| format!("must be true or false, not {text:?}"))
    }
}

impl Value for u64 {
    const SHAPE: Shape = Shape::Number;

    fn parse(text: &str, range: (u64, u64)) -> Result<Self, String> {
        let (least, most) = range;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("must be {}, not {text:?}", numbers(range)))
    }
}

impl Value for usize {
    const SHAPE: Shape = Shape::Number;

    fn parse(text: &str, range: (u64, u64)) -> Result<Self, String> {
        Self::try_from(u64::parse(text, range)?).map_err(|_| "is too large for this machine".to_owned())
    }
}

impl Value for u32 {
    const SHAPE: Shape = Shape::Number;
    // The largest `u32`. Constants cannot call `u64::from`.
    const RANGE: (u64, u64) = (1, 4_294_967_295);

    fn parse(text: &str, range: (u64, u64)) -> Result<Self, String> {
        Self::try_from(u64::parse(text, range)?).map_err(|_| format!("must be at most {}", Self::MAX))
    }
}

/// In milliseconds, a day at most.
impl Value for Duration {
    const SHAPE: Shape = Shape::Number;
    const RANGE: (u64, u64) = (1, 86_400_000);

    fn parse(text: &str, range: (u64, u64)) -> Result<Self, String> {
        u64::parse(text, range).map(Self::from_millis)
    }
}

impl Value for SocketAddr {
    const SHAPE: Shape = Shape::Text;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        text.parse().map_err(|_| format!("must be an address and a port, like 127.0.0.1:8000, not {text:?}"))
    }
}

impl Value for Origin {
    const SHAPE: Shape = Shape::Url;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            format!("must be http(s)://HOST or http(s)://HOST:PORT, without a path, not {text:?}")
        })
    }
}

/// Whether something that is usually on is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOff {
    /// It is on.
    On,
    /// It is off.
    Off,
}

impl Value for OnOff {
    const SHAPE: Shape = Shape::Choice(&["on", "off"]);

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(format!("must be on or off, not {text:?}")),
        }
    }
}

/// An empty text is an empty list.
impl Value for Vec<IpNet> {
    const SHAPE: Shape = Shape::List;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        let read = |part: &str| {
            auth::network(part.trim())
                .ok_or_else(|| format!("must hold addresses or networks, like 10.0.0.0/8, not {part:?}"))
        };
        if text.is_empty() { Ok(Self::new()) } else { text.split(',').map(read).collect() }
    }
}

impl Value for Vec<BrokerUrl> {
    const SHAPE: Shape = Shape::Secrets;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        let read = |(number, url): (usize, &str)| {
            BrokerUrl::parse(url)
                .map_err(|what| format!("has an address, number {}, that {what}", number.saturating_add(1)))
        };
        text.split_whitespace().enumerate().map(read).collect()
    }

    fn holds_password(&self) -> bool {
        self.iter().any(BrokerUrl::has_password)
    }

    /// A text that is refused may hold a password anywhere.
    fn shown(text: &str) -> String {
        let shown = |url| BrokerUrl::parse(url).map_or_else(|_| "***".to_owned(), |url| url.shown());
        text.split_whitespace().map(shown).collect::<Vec<_>>().join(Self::SHAPE.separator())
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Value for CounterpartUrl {
    const SHAPE: Shape = Shape::Url;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        Self::parse(text)
    }

    /// A text that is refused may hold a password.
    fn shown(text: &str) -> String {
        Self::parse(text).map_or_else(|_| "***".to_owned(), |url| url.to_string())
    }
}

impl Value for Durability {
    const SHAPE: Shape = Shape::Choice(&["full", "normal"]);

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            _ => Err(no_choice(Self::SHAPE, text)),
        }
    }
}

impl Value for LogFormat {
    const SHAPE: Shape = Shape::Choice(&["text", "json", "kazoo"]);

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            "kazoo" => Ok(Self::Kazoo),
            _ => Err(no_choice(Self::SHAPE, text)),
        }
    }
}

impl Value for ProfileSetting {
    const SHAPE: Shape = Shape::Choice(&["auto", "5.0", "4.3"]);

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "5.0" => Ok(Self::Named(Release::Kazoo50)),
            "4.3" => Ok(Self::Named(Release::Kazoo43)),
            _ => Err(no_choice(Self::SHAPE, text)),
        }
    }
}

impl Value for LevelFilter {
    const SHAPE: Shape = Shape::Choice(&["error", "warn", "info", "debug", "trace"]);

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        let level = text.parse().ok().filter(|level| *level != Self::Off);
        level.ok_or_else(|| no_choice(Self::SHAPE, text))
    }
}

/// The refusal of a text that is none of the choices.
fn no_choice(shape: Shape, text: &str) -> String {
    format!("must be {}, not {text:?}", shape.words((0, 0)))
}

impl Value for StoreLocation {
    const SHAPE: Shape = Shape::SecretLines;

    fn parse(text: &str, _: (u64, u64)) -> Result<Self, String> {
        Self::parse(text)
    }

    fn holds_password(&self) -> bool {
        Self::holds_password(self)
    }

    fn shown(text: &str) -> String {
        match Self::parse(text) {
            Ok(location) => location.shown(),
            Err(_) => "***".to_owned(),
        }
    }
}
