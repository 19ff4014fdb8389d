//! The table of variables against the list of the specification.

use std::collections::BTreeSet;

use waypost_telemetry::config::environment_table;

/// Every name in the text of the specification (commit 1377f53) that an SDK may read; those of other languages are
/// left out.
const NAMES: &str = include_str!("names.txt");

/// The variables of the table.
pub(super) fn known() -> BTreeSet<String> {
    let table = environment_table();
    let name = |row: &str| Some(row.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    table.lines().filter_map(name).collect()
}

#[test]
fn the_table_has_every_variable_of_the_specification() {
    let specified: BTreeSet<String> = NAMES.lines().map(str::to_owned).collect();
    let known = known();
    let missing: Vec<_> = specified.difference(&known).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let own: Vec<_> = known.difference(&specified).collect();
    assert_eq!(own, ["RUST_LOG"]);
}

#[test]
fn the_page_of_the_environment_is_the_table() {
    let page = include_str!("../../../../../../docs/kit/environment.md");
    assert!(page.contains(environment_table().trim_end()), "write this into it:\n{}", environment_table());
}
