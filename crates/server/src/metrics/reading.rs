//! Figures that are read when somebody asks for them.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Whether a figure can fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It rises and falls.
    Gauge,
    /// It only rises. Its name gets `_total`.
    Counter,
}

/// A figure, or several that differ in one label.
pub(crate) struct Reading {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The label's name. Empty for a figure without a label.
    pub(crate) label: &'static str,
    /// Reads the figures: the label's value, and the number.
    pub(crate) values: Box<dyn Fn() -> Vec<(String, f64)> + Send + Sync>,
}

impl Reading {
    /// A figure without a label.
    pub(crate) fn one(
        name: &'static str,
        help: &'static str,
        kind: Kind,
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self { name, help, kind, label: "", values: Box::new(move || vec![(String::new(), value())]) }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write_to(&mut encoder)
    }
}

impl Reading {
    /// Reads the figures and writes them.
    pub(super) fn write_to(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let metric_type = match self.kind {
            Kind::Gauge => MetricType::Gauge,
            Kind::Counter => MetricType::Counter,
        };
        let mut family = encoder.encode_descriptor(self.name, self.help, None, metric_type)?;
        for (value_of_label, number) in (self.values)() {
            if self.label.is_empty() {
                return write(self.kind, number, family);
            }
            let labels = [(self.label, value_of_label)];
            write(self.kind, number, family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn write(kind: Kind, number: f64, encoder: MetricEncoder<'_>) -> fmt::Result {
    match kind {
        Kind::Gauge => ConstGauge::new(number).encode(encoder),
        Kind::Counter => ConstCounter::new(number).encode(encoder),
    }
}

/// A switch as a figure.
pub(crate) fn one_if(is_on: bool) -> f64 {
    if is_on { 1.0 } else { 0.0 }
}

/// A count as a figure.
pub(crate) fn number(count: usize) -> f64 {
    number_of_u64(u64::try_from(count).unwrap_or(u64::MAX))
}

/// A count as a figure. Beyond 2^53 figures are not exact.
#[allow(clippy::as_conversions, reason = "there is no conversion without `as`")]
pub(crate) fn number_of_u64(count: u64) -> f64 {
    count as f64
}
