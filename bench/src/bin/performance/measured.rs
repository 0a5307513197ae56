//! What a cell of the bench has measured.

use bench::median;

/// A request, who answered it, and the medians.
pub struct Measured {
    pub row: &'static str,
    pub column: String,
    pub connections: usize,
    /// Answers a second in each round, without those that refuse.
    pub rates: Vec<f64>,
    /// The share of the answers that refuse.
    pub refused: f64,
    /// The same, measured with oha.
    pub rate_of_oha: Option<f64>,
    /// The 50th, the 99th and the 99.9th percentile, in milliseconds.
    pub percentiles: [f64; 3],
    /// The server's processor time for an answer, in microseconds.
    pub processor_us: Option<f64>,
    /// The server's memory afterwards.
    pub resident_kb: Option<u64>,
}

impl Measured {
    /// Answers a second: the median of the rounds.
    pub fn rate(&self) -> f64 {
        median(self.rates.clone()).expect("a sample")
    }
}
