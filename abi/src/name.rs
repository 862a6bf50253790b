//! Names of services: checked text.

use crate::limits::NAME_BYTES;

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No bytes.
    #[error("a name is empty")]
    Empty,
    /// More than [`NAME_BYTES`] bytes.
    #[error("a name is {0} bytes long, the limit is 255")]
    TooLong(usize),
    /// Not UTF-8.
    #[error("a name is not valid UTF-8")]
    NotUtf8,
    /// A control character, which would garble every list it is shown in.
    #[error("a name has a control character in it")]
    Control,
}

/// Takes `bytes` as a name.
///
/// # Errors
/// See [`NameError`].
///
/// # Examples
/// ```
/// use abi::name::{NameError, check};
/// assert_eq!(check(b"com.example.echo"), Ok("com.example.echo"));
/// assert_eq!(check(b""), Err(NameError::Empty));
/// ```
pub fn check(bytes: &[u8]) -> Result<&str, NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > NAME_BYTES {
        return Err(NameError::TooLong(bytes.len()));
    }
    let text = core::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_name_has_its_own_error() {
        assert_eq!(check(&[b'a'; 255]).map(str::len), Ok(255));
        assert_eq!(check(&[b'a'; 256]), Err(NameError::TooLong(256)));
        assert_eq!(check(&[0xff, 0xfe]), Err(NameError::NotUtf8));
        assert_eq!(check(b"a\nb"), Err(NameError::Control));
        assert_eq!(check("grüße".as_bytes()), Ok("grüße"));
    }
}
