//! `config show`, `config check` and `config example`: the settings, without opening anything.

use super::say;
use crate::arguments::Serve;
use crate::failure::Failure;
use crate::settings::{self, Default, Setting, Shape, ShownSetting};

pub(crate) fn show(arguments: &Serve) -> Result<(), Failure> {
    for ShownSetting { setting, value, source, .. } in arguments.show()? {
        let line = match value {
            Some(value) => format!("{} = {}", setting.key, in_toml(&setting, &value)),
            None => format!("# {} is not set: {}", setting.key, default_words(&setting)),
        };
        say(&format!("{line:50} # {source}"))?;
    }
    check_all(arguments)
}

pub(crate) fn check(arguments: &Serve) -> Result<(), Failure> {
    check_all(arguments)?;
    say("the settings are good")
}

fn check_all(arguments: &Serve) -> Result<(), Failure> {
    let all = arguments.settings()?;
    super::listening::check_addresses(all.serve.listen, all.admin.admin_listen)?;
    arguments.log().map(drop)
}

pub(crate) fn example() -> Result<(), Failure> {
    say("# The settings of crossbar-groups, with their defaults. A flag or a variable wins over this file.")?;
    say("# Whoever can read this file can read the password in it: run chmod 600 on it.")?;
    let mut section = "";
    for setting in settings::all() {
        if setting.section != section {
            section = setting.section;
            say(&format!("\n# {section}"))?;
        }
        say("")?;
        setting.help.iter().try_for_each(|line| say(&format!("# {}", line.trim())))?;
        say(&format!("# The flag is --{}, the variable {}.", setting.flag(), setting.variable()))?;
        say(&match setting.default {
            Default::Value(value) => format!("#{} = {}", setting.key, in_toml(&setting, value)),
            Default::Found(words, _) | Default::Nothing(words) => {
                format!("#{} = {} # not set: {words}", setting.key, sample(&setting))
            }
        })?;
    }
    Ok(())
}

/// A value as the file has it.
fn in_toml(setting: &Setting, value: &str) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    match setting.shape {
        Shape::Number | Shape::Switch => value.to_owned(),
        Shape::List | Shape::Secrets => {
            let items: Vec<_> =
                value.split(setting.shape.separator()).filter(|item| !item.is_empty()).map(text).collect();
            format!("[{}]", items.join(", "))
        }
        Shape::SecretLines if value.contains(setting.shape.separator()) => {
            let items: Vec<_> = value.split(setting.shape.separator()).map(text).collect();
            format!("[{}]", items.join(", "))
        }
        Shape::Text | Shape::Url | Shape::SecretLines | Shape::Choice(_) => text(value),
    }
}

fn default_words(setting: &Setting) -> &'static str {
    match setting.default {
        Default::Value(value) => value,
        Default::Found(words, _) | Default::Nothing(words) => words,
    }
}

/// A value that can stand in the place of one that is found or missing.
fn sample(setting: &Setting) -> String {
    match setting.shape {
        Shape::Number => "2".to_owned(),
        Shape::Switch => "false".to_owned(),
        Shape::List => "[\"127.0.0.1\"]".to_owned(),
        Shape::Url => "\"https://api.example.com\"".to_owned(),
        Shape::Secrets => "[\"amqp://user:password@127.0.0.1:5672/vhost\"]".to_owned(),
        Shape::Text | Shape::SecretLines | Shape::Choice(_) => "\"name\"".to_owned(),
    }
}
