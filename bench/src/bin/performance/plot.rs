//! The plot: for each request a bar for everybody who answered it, on 16 connections. The longest bar of a
//! request is the fastest.

use std::fmt::Write as _;

use crate::measured::Measured;

const CONNECTIONS: usize = 16;

/// Sizes, in pixels.
const WIDTH: f64 = 760.0;
const LEFT: f64 = 190.0;
const BAR: f64 = 16.0;
const GAP: f64 = 34.0;
/// Room for a rate behind the longest bar.
const RIGHT: f64 = 90.0;

/// The plot as SVG.
pub fn draw(measured: &[Measured]) -> String {
    let shown: Vec<_> = measured.iter().filter(|one| one.connections == CONNECTIONS).collect();
    let mut drawn = String::new();
    let (mut y, mut row) = (30.0, "");
    for one in &shown {
        if one.row != row {
            row = one.row;
            y += GAP;
            let title = format!(r#"<text x="10" y="{:.0}" font-weight="bold">{row}</text>"#, y - 8.0);
            // Writing into a string never fails.
            let _ = writeln!(drawn, "{title}");
        }
        let fastest =
            shown.iter().filter(|other| other.row == row).map(|other| other.rate()).fold(0.0, f64::max);
        let length = (WIDTH - LEFT - RIGHT) * one.rate() / fastest;
        let (column, rate, text_y) = (&one.column, one.rate(), y + BAR - 4.0);
        let _ = writeln!(
            drawn,
            r#"<text x="{:.0}" y="{text_y:.0}" text-anchor="end">{column}</text><rect x="{LEFT}" y="{y:.0}" width="{length:.1}" height="{:.0}" fill="{}"/><text x="{:.0}" y="{text_y:.0}">{rate:.0}/s</text>"#,
            LEFT - 8.0,
            BAR - 3.0,
            colour(column),
            LEFT + length + 6.0,
        );
        y += BAR;
    }
    let height = y + 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"22\" font-size=\"14\">Answers a second on {CONNECTIONS} connections</text>\n{drawn}</svg>\n"
    )
}

/// Limits are grey, the server's own columns have colours.
fn colour(column: &str) -> &'static str {
    match column {
        "embedded" => "#1b6ca8",
        "CouchDB" => "#c8501e",
        _ if column.starts_with("embedded") => "#8fbbdb",
        _ if column.starts_with("CouchDB,") => "#eab08f",
        _ => "#999999",
    }
}
