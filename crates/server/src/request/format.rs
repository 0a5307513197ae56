//! The form in which a client wants its answer.

/// A form that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The JSON envelope.
    Json,
    /// The data as comma-separated values.
    Csv,
}

impl Format {
    /// The form that the parameter `accept` names. Every name but those of CSV means JSON.
    pub(crate) fn of_parameter(name: &str) -> Self {
        match name {
            "csv" | "text/csv" | "text/comma-separated-values" | "application/octet-stream" => Self::Csv,
            _ => Self::Json,
        }
    }
}
