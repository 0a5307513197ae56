//! The message about a command line that cannot be read: one line, as for every other mistake. Help
//! and the version are printed as clap writes them.

use std::io::Write as _;
use std::process::ExitCode;

use clap::error::ErrorKind;

/// Prints help, the version, or one line that says what is wrong. `command` is the command as far as it is known.
pub(crate) fn report(error: &clap::Error, command: &str) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // If the output is closed, there is nobody to tell.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        _ => {
            let _ = writeln!(std::io::stderr(), "crossbar-groups: {}", one_line(&error.to_string(), command));
            ExitCode::from(2)
        }
    }
}

/// clap's message in one line, with the way to the command's help.
fn one_line(message: &str, command: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut help = format!("{command} --help");
    let mut value = String::new();
    let mut begins_part = true;
    for line in message.lines().map(str::trim) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            value = usage.split(' ').rfind(|word| word.starts_with('<')).unwrap_or_default().to_owned();
            let words = usage.split(' ').take_while(|word| !word.starts_with(['-', '<', '[']));
            help = format!("{} --help", words.collect::<Vec<_>>().join(" "));
            break;
        }
        let line = line.strip_prefix("error: ").or_else(|| line.strip_prefix("tip: ")).unwrap_or(line);
        match parts.last_mut() {
            _ if line.is_empty() || line.starts_with("For more information") => begins_part = true,
            Some(part) if !begins_part => {
                part.push(' ');
                part.push_str(line);
            }
            _ => {
                parts.push(line.to_owned());
                begins_part = false;
            }
        }
    }
    // clap thinks of a value that begins with hyphens. No account and no file does.
    if let Some(tip) = parts.iter_mut().find(|part| part.starts_with("to pass '--")) {
        *tip = without_flag(help.trim_end_matches(" --help"), &value);
    }
    format!("{}; `{help}` says what there is", without_passwords(&parts.join("; ")))
}

/// Says that the one value of a command stands alone.
fn without_flag(command: &str, value: &str) -> String {
    let what = match value {
        "<ID|NAME>" => "the account".to_owned(),
        "" => return "leave it out".to_owned(),
        _ => format!("the {}", value.trim_matches(['<', '>']).to_lowercase()),
    };
    format!("{what} is given without a flag, as in `{command} {value}`")
}

/// Hides the user and the password of every URL in a text. Somebody may have put one in the wrong place.
fn without_passwords(text: &str) -> String {
    let hidden = text.split(' ').map(|word| match (word.find("://"), word.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (before, after) =
                (word.get(..scheme).unwrap_or_default(), word.get(at..).unwrap_or_default());
            format!("{before}://***{after}")
        }
        _ => word.to_owned(),
    });
    hidden.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_message_of_clap_becomes_one_line() {
        for (message, expected) in [
            (
                "error: unexpected argument '--wrokers' found\n\n  tip: a similar argument exists: '--workers'\n\n\
                 Usage: crossbar-groups serve --workers <N>\n\nFor more information, try '--help'.\n",
                "unexpected argument '--wrokers' found; a similar argument exists: '--workers'; \
                 `crossbar-groups serve --help` says what there is",
            ),
            (
                "error: the following required arguments were not provided:\n  --account <ID>\n  --username <U>\n\n\
                 Usage: crossbar-groups user create --account <ID>\n",
                "the following required arguments were not provided: --account <ID> --username <U>; \
                 `crossbar-groups user create --help` says what there is",
            ),
            (
                "error: unexpected argument '--account' found\n\n  tip: to pass '--account' as a value, use \
                 '-- --account'\n\nUsage: crossbar-groups account show [OPTIONS] <ID|NAME>\n",
                "unexpected argument '--account' found; the account is given without a flag, as in \
                 `crossbar-groups account show <ID|NAME>`; `crossbar-groups account show --help` says what there is",
            ),
            (
                // Not every message of clap has the usage.
                "error: unexpected argument 'http://u:p@w@host' found\n",
                "unexpected argument 'http://***@host' found; `crossbar-groups token --help` says what there is",
            ),
        ] {
            assert_eq!(one_line(message, "crossbar-groups token"), expected);
        }
    }
}
