//! Prints rows in columns.

use crate::failure::Failure;

/// Prints rows under a heading. Each column is as wide as its longest text.
pub(super) fn print<const COLUMNS: usize>(
    heading: [&str; COLUMNS],
    rows: &[[String; COLUMNS]],
) -> Result<(), Failure> {
    lines(heading, rows).iter().try_for_each(|line| super::say(line))
}

fn lines<const COLUMNS: usize>(heading: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> Vec<String> {
    let heading = heading.map(str::to_owned);
    let all = || std::iter::once(&heading).chain(rows);
    let length = |text: &String| text.chars().count();
    let mut widths = [0; COLUMNS];
    for row in all() {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = length(text).max(*width);
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let padded = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_longest_text() {
        let rows = [["1".to_owned(), "Büro".to_owned()], ["22222".to_owned(), String::new()]];
        assert_eq!(super::lines(["id", "name"], &rows), ["id     name", "1      Büro", "22222"]);
    }
}
