//! Prints the report as the tables of `docs/reliability.md`.

use serde_json::Value;

use crate::report::Report;

/// The columns of the table: a heading, and the figure below it.
const TABLE: [(&str, &str); 9] = [
    ("sent kB", "sent_kb"),
    ("peak kB above rest", "peak_above_kb"),
    ("held kB", "held_kb"),
    ("another tenant's slowest, ms", "slowest_ms"),
    ("quiet, ms", "quiet_ms"),
    ("took, ms", "took_ms"),
    ("answers", "answers"),
    ("verdict", "pass"),
    ("what is sent", "about"),
];

/// Prints every section that has rows.
pub(crate) fn print(report: &Report) {
    println!("## The table\n\n| input | {} |", TABLE.map(|(heading, _)| heading).join(" | "));
    println!("|{}", " --- |".repeat(TABLE.len() + 1));
    for row in report.section("table") {
        let cells = TABLE.map(|(_, figure)| cell(&row[figure]));
        println!("| `{}` | {} |", cell(&row["name"]), cells.join(" | "));
    }
    for section in ["memory", "faults", "faults-couchdb", "histories", "overload", "files", "soak"] {
        let rows = report.section(section);
        if rows.is_empty() {
            continue;
        }
        println!("\n## {section}\n\n| row | verdict | figures | faults |\n| --- | --- | --- | --- |");
        for row in rows {
            let hidden = ["section", "name", "binary", "pass", "faults", "answers"];
            let figures =
                row.as_object().into_iter().flatten().filter(|(key, _)| !hidden.contains(&key.as_str()));
            let figures: Vec<_> = figures.map(|(key, value)| format!("{key} {}", cell(value))).collect();
            let faults: Vec<_> = row["faults"].as_array().into_iter().flatten().map(cell).collect();
            println!(
                "| {} | {} | {} | {} |",
                cell(&row["name"]),
                cell(&row["pass"]),
                figures.join(", "),
                faults.join("; ")
            );
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Bool(true) => "ok".to_owned(),
        Value::Bool(false) => "**fails**".to_owned(),
        Value::String(text) => text.replace('|', "\\|").replace('\n', " "),
        other => other.to_string().replace('|', "\\|"),
    }
}
