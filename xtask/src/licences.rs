//! Licences of the whole tree, read from `cargo metadata`: permissive only, so that users of the kit can link it into
//! anything. `deny.toml` holds the same list for those who have cargo-deny.

use cargo_metadata::Metadata;

const PERMISSIVE: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

/// Returns one sentence for each package whose licence leaves no permissive choice.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    metadata
        .packages
        .iter()
        .filter_map(|package| {
            let licence = package.license.as_deref().unwrap_or("none given");
            (!is_permissive(licence)).then(|| {
                format!("{} {}: licence `{licence}` is not permissive", package.name, package.version)
            })
        })
        .collect()
}

/// Reads an SPDX expression of alternatives: one whose every part is permissive is enough.
///
/// `AND` binds tighter than `OR`; brackets occur in the tree only around one group, so a group is taken apart on its own.
fn is_permissive(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    if let Some((before, inner, after)) = group(&expression) {
        let stands_for = if is_permissive(inner) { "MIT" } else { "refused" };
        return is_permissive(&format!("{before}{stands_for}{after}"));
    }
    expression
        .split(" OR ")
        .any(|alternative| alternative.split(" AND ").all(|licence| PERMISSIVE.contains(&licence.trim())))
}

/// The innermost bracketed group with what stands before and after it.
fn group(expression: &str) -> Option<(&str, &str, &str)> {
    let close = expression.find(')')?;
    let open = expression.get(..close)?.rfind('(')?;
    Some((expression.get(..open)?, expression.get(open + 1..close)?, expression.get(close + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::is_permissive;

    #[test]
    fn one_permissive_alternative_is_enough_and_every_joined_part_counts() {
        assert!(is_permissive("MIT OR GPL-3.0-only"));
        assert!(is_permissive("MIT/Apache-2.0"));
        assert!(is_permissive("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(is_permissive("Apache-2.0 AND (MIT OR GPL-2.0-only)"));
        assert!(!is_permissive("MIT AND GPL-3.0-only"));
        assert!(!is_permissive("AGPL-3.0-only"));
        assert!(!is_permissive("(GPL-2.0-only) AND MIT"));
        assert!(!is_permissive("none given"));
    }
}
