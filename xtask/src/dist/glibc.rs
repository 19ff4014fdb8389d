//! Which C library a binary asks for.

/// The newest version that a symbol of the binary wants, such as `2.34`, read from the names of its version needs.
pub(super) fn needed(binary: &[u8]) -> Option<&str> {
    const MARK: &[u8] = b"GLIBC_";
    let starts =
        (0..binary.len().saturating_sub(MARK.len())).filter(|start| binary[*start..].starts_with(MARK));
    let versions = starts.filter_map(|start| version(&binary[start + MARK.len()..]));
    versions.max_by_key(|version| numbers(version))
}

fn version(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    // The names in a table of strings end with a zero; anything else is text about them.
    (bytes[end] == 0 && numbers(text).len() >= 2).then_some(text)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn the_newest_version_counts_by_number_not_by_letter() {
        assert_eq!(needed(b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0"), Some("2.34"));
        assert_eq!(needed(b"says GLIBC_9.9 is text\0GLIBC_PRIVATE\0"), None);
        assert_eq!(needed(b""), None);
    }
}
