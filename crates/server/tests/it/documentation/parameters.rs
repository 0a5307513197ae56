//! `docs/openapi.yaml` names the query parameters that are served, and no others. The served ones are read
//! from the tables in the source, so that nobody can forget to list one here.

use std::collections::BTreeSet;

use regex::Regex;

use super::openapi::scalars;
use super::page;

/// The documented name of all filters by a path, whose own names have no end.
const FILTERS_BY_PATH: &str = "filters";

/// The query parameters of the table in `request/parameters.rs`, and the filters of the groups.
fn served() -> BTreeSet<String> {
    let table = page("crates/server/src/request/parameters.rs");
    let row = Regex::new(r#"Parameter\(\s*"(\w+)",\s*&\[([^\]]*)\]"#).unwrap();
    let mut rows = 0;
    let mut names = BTreeSet::new();
    for found in row.captures_iter(&table) {
        rows += 1;
        if found[2].contains("QueryString") {
            names.insert(found[1].to_owned());
        }
    }
    let constants = Regex::new(r"const [A-Z_]+: (Parameter|Flag) =").unwrap();
    assert_eq!(rows, constants.find_iter(&table).count(), "every row of the table is read");

    let filters = page("crates/groups/src/filter.rs");
    let exact = Regex::new(r#"(?m)^\s*"(\w+)" => Self::"#).unwrap();
    let by_path = Regex::new(r#"strip_prefix\("filter_\w*"\)"#).unwrap();
    assert!(exact.is_match(&filters) && by_path.is_match(&filters), "the filters are read");
    names.extend(exact.captures_iter(&filters).map(|found| found[1].to_owned()));
    names.insert(FILTERS_BY_PATH.to_owned());
    names
}

/// The documented query parameters. Each must stand in a path, or be a way to show credentials.
fn documented() -> BTreeSet<String> {
    let document = page("docs/openapi.yaml");
    let scalars = scalars(&document);
    let value = |group: &str, entry: &str, key: &str| {
        let wanted = ["components", group, entry, key];
        scalars.iter().find(|(keys, _)| *keys == wanted).map(|(_, value)| value.clone())
    };
    let mut names = BTreeSet::new();
    for (keys, place) in &scalars {
        let [components, group, entry, key] = &keys[..] else { continue };
        if components != "components" || key != "in" || place != "query" {
            continue;
        }
        let is_used = match group.as_str() {
            "parameters" => document.contains(&format!("'#/components/parameters/{entry}'")),
            _ => document.contains(&format!("\n  - {entry}: []")),
        };
        assert!(is_used, "docs/openapi.yaml: no path uses {entry}");
        names.insert(value(group, entry, "name").unwrap_or_else(|| panic!("{entry} has no name")));
    }
    names
}

#[test]
fn the_documented_query_parameters_are_the_served_ones() {
    let (documented, served) = (documented(), served());
    let lines = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
    let not_documented = lines(&mut served.difference(&documented));
    let not_served = lines(&mut documented.difference(&served));
    assert!(
        not_documented.is_empty() && not_served.is_empty(),
        "served and not documented: {not_documented}; documented and not served: {not_served}"
    );
}
