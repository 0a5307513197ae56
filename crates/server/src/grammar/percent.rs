//! Percent-encoding, as paths, query strings and forms use it.

/// A `%` without two hex digits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEscape;

/// What a `+` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// A space, as in query strings and forms.
    Space,
    /// Itself, as in paths.
    Itself,
}

/// Decodes `%XX` to a byte, and `+` as `plus` says.
pub(crate) fn decode(raw: &[u8], plus: Plus) -> Result<Vec<u8>, BadEscape> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let high = rest.next().and_then(hex_digit).ok_or(BadEscape)?;
                let low = rest.next().and_then(hex_digit).ok_or(BadEscape)?;
                high * 16 + low
            }
            b'+' if plus == Plus::Space => b' ',
            other => *other,
        });
    }
    Ok(decoded)
}

fn hex_digit(byte: &u8) -> Option<u8> {
    let digit = char::from(*byte).to_digit(16)?;
    u8::try_from(digit).ok()
}
