//! Turns a name into the form that Kazoo searches for.

/// The ASCII letters of a name, in lower case, and its digits. Kazoo stores this as `pvt_alphanum_name`.
#[must_use]
pub fn search_name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::search_name;

    #[test]
    fn only_ascii_letters_and_digits_are_kept() {
        for (name, expected) in
            [("Sales Team #1", "salesteam1"), ("日本 X9", "x9"), ("ÉK\u{212a}", "k"), ("", "")]
        {
            assert_eq!(search_name(name), expected);
        }
    }
}
