//! JSON pointers (RFC 6901): the address of one value in a JSON document, as in `/lines/0/quantity`.
//!
//! The empty pointer is the whole document.

use std::borrow::Cow;

/// Appends the pointer to a member of an object to the pointer to that object: `~` and `/` in the name are
/// escaped.
///
/// ```
/// use waypost_errors::pointer;
/// assert_eq!(pointer::member("", "quantity"), "/quantity");
/// assert_eq!(pointer::member("/lines/0", "a/b~c"), "/lines/0/a~1b~0c");
/// ```
pub fn member(parent: &str, name: &str) -> String {
    format!("{parent}/{}", escape(name))
}

/// Appends the pointer to an element of an array to the pointer to that array.
///
/// ```
/// use waypost_errors::pointer;
/// assert_eq!(pointer::element("/lines", 3), "/lines/3");
/// ```
pub fn element(parent: &str, index: usize) -> String {
    format!("{parent}/{index}")
}

fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        // `~` first, or the `~` of an escaped `/` would be escaped again.
        Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(name)
    }
}
