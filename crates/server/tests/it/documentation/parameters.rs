//! `docs/openapi.yaml` names the query parameters and the headers that are served, and no others. The served
//! ones are read from the tables in the source. Only headers that are no parameters are listed here.

use std::collections::BTreeSet;

use regex::Regex;

use super::openapi::scalars;
use super::page;

/// The documented name of all filters by a path, whose own names have no end.
const FILTERS_BY_PATH: &str = "filters";

/// The headers that are read and that OpenAPI describes by something else than a parameter, or not at all.
const NO_PARAMETERS: [&str; 9] = [
    // The content of an answer or a body has a type.
    "accept",
    "content-type",
    // It only repeats what the token says; docs/compatibility.md has it.
    "x-auth-account-id",
    // Clients and proxies send these by themselves.
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "x-forwarded-for",
    "x-crossbar-groups-shadow",
    // A security scheme has no parameter's name.
    "authorization",
];

/// The rows of the table in `request/parameters.rs`: the name of each parameter, and its sources.
fn rows() -> Vec<(String, String)> {
    let table = page("crates/server/src/request/parameters.rs");
    let row = Regex::new(r#"Parameter\(\s*"(\w+)",\s*&\[([^\]]*)\]"#).unwrap();
    let rows: Vec<_> =
        row.captures_iter(&table).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let constants = Regex::new(r"const [A-Z_]+: (Parameter|Flag) =").unwrap();
    assert_eq!(rows.len(), constants.find_iter(&table).count(), "every row of the table is read");
    rows
}

/// The query parameters of the table, and the filters of the groups.
fn served_in_query() -> BTreeSet<String> {
    let mut names: BTreeSet<_> = rows()
        .into_iter()
        .filter(|(_, sources)| sources.contains("QueryString"))
        .map(|(name, _)| name)
        .collect();
    let filters = page("crates/groups/src/filter.rs");
    let exact = Regex::new(r#"(?m)^\s*"(\w+)" => (?:at_value|of_stamp)\("#).unwrap();
    let by_path = Regex::new(r#"strip_prefix\("filter_\w*"\)"#).unwrap();
    assert!(exact.is_match(&filters) && by_path.is_match(&filters), "the filters are read");
    names.extend(exact.captures_iter(&filters).map(|found| found[1].to_owned()));
    names.insert(FILTERS_BY_PATH.to_owned());
    names
}

/// The headers that the source declares, without those that are no parameters.
fn served_in_headers() -> BTreeSet<String> {
    let declared = Regex::new(r#"(?m)^    [A-Z_]+ = "([a-z-]+)";$"#).unwrap();
    let source = page("crates/server/src/request/header_names.rs");
    let mut names: BTreeSet<_> = declared.captures_iter(&source).map(|found| found[1].to_owned()).collect();
    for name in NO_PARAMETERS {
        assert!(names.remove(name), "{name} is not declared");
    }
    names
}

/// The documented parameters in a place, in lower case. Each must stand in a path, or be a way to show
/// credentials.
fn documented(place: &str) -> BTreeSet<String> {
    let document = page("docs/openapi.yaml");
    let scalars = scalars(&document);
    let value = |group: &str, entry: &str, key: &str| {
        let wanted = ["components", group, entry, key];
        scalars.iter().find(|(keys, _)| *keys == wanted).map(|(_, value)| value.clone())
    };
    let mut names = BTreeSet::new();
    for (keys, found) in &scalars {
        if keys.last().is_none_or(|key| key != "in") || found != place {
            continue;
        }
        let [components, group, entry, _] = &keys[..] else { panic!("{keys:?}: not among the components") };
        assert_eq!(components, "components", "{keys:?}");
        let is_used = match group.as_str() {
            "parameters" => document.contains(&format!("'#/components/parameters/{entry}'")),
            _ => document.contains(&format!("\n  - {entry}: []")),
        };
        assert!(is_used, "docs/openapi.yaml: no path uses {entry}");
        let name = value(group, entry, "name").unwrap_or_else(|| panic!("{entry} has no name"));
        names.insert(name.to_ascii_lowercase());
    }
    names
}

fn check(documented: &BTreeSet<String>, served: &BTreeSet<String>) {
    let lines = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(", ");
    let not_documented = lines(&mut served.difference(documented));
    let not_served = lines(&mut documented.difference(served));
    assert!(
        not_documented.is_empty() && not_served.is_empty(),
        "served and not documented: {not_documented}; documented and not served: {not_served}"
    );
}

#[test]
fn the_documented_query_parameters_are_the_served_ones() {
    check(&documented("query"), &served_in_query());
}

#[test]
fn the_documented_headers_are_the_served_ones() {
    check(&documented("header"), &served_in_headers());
}
