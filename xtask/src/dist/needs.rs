//! What a binary asks for of the system that it runs on.

use std::collections::BTreeSet;

/// The libraries that it is linked with, such as `libssl.so.3`, but for those of the C library and the compiler.
pub(super) fn libraries(binary: &[u8]) -> BTreeSet<&str> {
    let texts = binary.split(|byte| *byte == 0).filter_map(|bytes| std::str::from_utf8(bytes).ok());
    texts.filter(|text| is_library(text)).collect()
}

fn is_library(name: &str) -> bool {
    const WITH_THE_SYSTEM: [&str; 4] = ["libc", "libm", "libgcc_s", "libpthread"];
    name.split_once(".so.").is_some_and(|(stem, version)| {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
        stem.starts_with("lib")
            && stem.chars().all(is_name)
            && version.chars().all(|c| c.is_ascii_digit() || c == '.')
            && !WITH_THE_SYSTEM.contains(&stem)
    })
}

/// The newest version that a symbol of the binary wants, such as `2.34`, read from the names of its version needs.
pub(super) fn glibc(binary: &[u8]) -> Option<&str> {
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
    use super::{glibc, libraries};

    #[test]
    fn the_newest_version_counts_by_number_not_by_letter() {
        assert_eq!(glibc(b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.2.5\0"), Some("2.34"));
        assert_eq!(glibc(b"says GLIBC_9.9 is text\0GLIBC_PRIVATE\0"), None);
        assert_eq!(glibc(b""), None);
    }

    #[test]
    fn libraries_are_told_from_text_about_them() {
        let binary = b"\0libssl.so.3\0libc.so.6\0see libz.so.1\0libz.so.1\0libx.so.y\0libssl.so.3\0";
        assert_eq!(libraries(binary).into_iter().collect::<Vec<_>>(), ["libssl.so.3", "libz.so.1"]);
    }
}
