//! The documentation is true: every example of `docs/api.md` is run as it stands and answers what the
//! page says, so does the greeting of `serve --demo`, and `docs/openapi.yaml` says all that is served.

mod openapi;
mod parameters;
mod world;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use regex::Regex;
use serde_json::{Map, Value};

use crate::process::binary;

/// Stands for any text, and as a member's name for more members.
const ANYTHING: &str = "…";

fn page(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A block between fences.
struct Block {
    line: usize,
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block { line: number, language: language.to_owned(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "the last block is closed");
    blocks
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", script]).stdin(Stdio::null());
    // The server is on this machine, whatever proxy leads elsewhere.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command
}

fn output_of(command: &mut Command, what: &str) -> String {
    let output = command.output().expect("sh is there");
    let (answer, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{answer}{error}", output.status);
    answer.replace('\r', "")
}

fn text_matches(documented: &str, actual: &str) -> bool {
    let parts: Vec<_> = documented.trim_end().split(ANYTHING).map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).unwrap().is_match(actual.trim_end())
}

/// The first difference from the documented answer, with its path.
fn difference(path: &str, documented: &Value, actual: &Value) -> Option<String> {
    let differs = || Some(format!("{path}: documented {documented}, answered {actual}"));
    match (documented, actual) {
        (Value::String(text), _) if text == ANYTHING => None,
        (Value::String(text), Value::String(actual)) if text_matches(text, actual) => None,
        (Value::Object(documented), Value::Object(actual)) => members_difference(path, documented, actual),
        (Value::Array(documented), Value::Array(actual)) if documented.len() == actual.len() => {
            documented.iter().zip(actual).enumerate().find_map(|(place, (documented, actual))| {
                difference(&format!("{path}[{place}]"), documented, actual)
            })
        }
        _ if documented == actual => None,
        _ => differs(),
    }
}

fn members_difference(
    path: &str,
    documented: &Map<String, Value>,
    actual: &Map<String, Value>,
) -> Option<String> {
    // A member with any name but a value of its own is the one member that has no name here.
    let wildcard = documented.get(ANYTHING);
    for (key, value) in documented.iter().filter(|(key, _)| *key != ANYTHING) {
        let Some(found) = actual.get(key) else { return Some(format!("{path}.{key} is missing")) };
        if let Some(difference) = difference(&format!("{path}.{key}"), value, found) {
            return Some(difference);
        }
    }
    let mut others = actual.iter().filter(|(key, _)| !documented.contains_key(*key));
    match wildcard {
        None => others.next().map(|(key, value)| format!("{path}.{key} is not documented: {value}")),
        Some(value) => others.find_map(|(key, found)| difference(&format!("{path}.{key}"), value, found)),
    }
}

/// `serve --demo`, ended when its test is over.
struct Demo {
    child: Child,
    greeting: Vec<String>,
    /// The pipe stays open as long as the demo runs.
    _said: Box<dyn Iterator<Item = String>>,
    _folder: tempfile::TempDir,
}

impl Demo {
    /// Starts it on free ports and waits for its greeting, which ends with the last of three requests.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = binary();
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.env("CROSSBAR_GROUPS_STORE", format!("sqlite:{}", folder.path().join("demo.db").display()));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut greeting: Vec<String> = Vec::new();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        for line in said.by_ref() {
            greeting.push(line);
            if greeting.iter().filter(|line| line.starts_with("curl ")).count() == 3 {
                break;
            }
        }
        Self { child, greeting, _said: Box::new(said), _folder: folder }
    }

    /// The lines that set variables.
    fn exports(&self) -> String {
        let exports = self.greeting.iter().filter(|line| line.starts_with("export "));
        exports.map(|line| format!("{line}\n")).collect()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The page's examples run on the demo, with the variables that its greeting sets and the page's first block,
/// which every later example begins with.
#[test]
fn every_example_of_the_api_page_answers_as_documented() {
    let demo = Demo::start();
    let mut examples = blocks(&page("docs/api.md")).into_iter().peekable();
    let variables = examples.next().expect("a block that sets variables");
    let found =
        output_of(&mut shell(&format!("{}{}echo $GROUP_ID", demo.exports(), variables.text)), "variables");
    let variables = format!("{}export GROUP_ID={found}", demo.exports());
    let mut run = 0;
    while let Some(example) = examples.next() {
        let line = format!("docs/api.md, line {}", example.line);
        assert_eq!(example.language, "sh", "{line}: an answer without an example before it");
        let answer = examples.next_if(|block| block.language != "sh");
        let answer = answer.unwrap_or_else(|| panic!("{line}: an example without an answer behind it"));
        let actual = output_of(&mut shell(&format!("{variables}{}", example.text)), &line);
        match answer.language.as_str() {
            "text" => assert!(
                text_matches(&answer.text, &actual),
                "{line}: documented\n{}answered\n{actual}",
                answer.text
            ),
            "json" => {
                let documented = serde_json::from_str(&answer.text)
                    .unwrap_or_else(|error| panic!("docs/api.md, line {}: {error}", answer.line));
                let actual = serde_json::from_str(&actual)
                    .unwrap_or_else(|_| panic!("{line}: the answer is no JSON: {actual}"));
                assert_eq!(difference(&line, &documented, &actual), None);
            }
            other => panic!("docs/api.md, line {}: an answer is text or json, not {other:?}", answer.line),
        }
        run += 1;
    }
    assert!(run > 0, "the page has examples");
}

#[test]
fn the_readme_shows_the_greeting_of_the_demo_and_its_commands_work() {
    let demo = Demo::start();
    let greeting = &demo.greeting;
    let readme = blocks(&page("README.md"));
    let documented = readme.iter().find(|block| block.text.contains("export TOKEN=")).expect("the greeting");
    let address = Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let greeted = greeting.join("\n");
    let with_default_port = address.replace_all(&greeted, "127.0.0.1:8000");
    for (documented, actual) in documented.text.lines().zip(with_default_port.lines()) {
        assert!(text_matches(documented, actual), "README.md says {documented:?}, the demo says {actual:?}");
    }
    assert_eq!(documented.text.lines().count(), greeting.len(), "{greeted}");

    let names = greeting.iter().filter(|line| line.starts_with("curl ")).map(|line| {
        let answer = output_of(&mut shell(&format!("{}{line}", demo.exports())), line);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{line}: {answer}"));
        assert_eq!(answer["status"], "success", "{line}: {answer}");
        let rows = answer["data"].as_array().cloned().unwrap_or_else(|| vec![answer["data"].clone()]);
        let mut names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.join(", ")
    });
    assert_eq!(names.collect::<Vec<_>>(), ["Lobby, Sales, Support", "Night shift", "Sales, Support"]);
}
