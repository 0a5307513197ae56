//! The percent-encoding of paths, query strings and forms.

use std::borrow::Cow;

/// A `%` that is not followed by two hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadEscape;

/// The meaning of a `+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// A space: in query strings and forms.
    Space,
    /// A plus sign: in paths.
    Itself,
}

/// Decodes `%XX` to a byte, and `+` according to `plus`. A text that has neither is not copied.
pub(crate) fn decode(raw: &[u8], plus: Plus) -> Result<Cow<'_, [u8]>, BadEscape> {
    if !raw.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Ok(Cow::Borrowed(raw));
    }
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
    Ok(Cow::Owned(decoded))
}

fn hex_digit(byte: &u8) -> Option<u8> {
    let digit = char::from(*byte).to_digit(16)?;
    u8::try_from(digit).ok()
}
