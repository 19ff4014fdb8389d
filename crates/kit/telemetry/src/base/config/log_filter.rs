//! The filter of log lines, in the syntax of `RUST_LOG`, over what is quiet by default.

#[cfg(feature = "logs")]
use tracing_subscriber::EnvFilter;

/// Libraries that say only warnings unless the filter names them. Compared up to `::`, so that `tower_http` is not
/// silenced with `tower`.
#[cfg(feature = "logs")]
const QUIET: [&str; 7] = ["h2", "hyper", "hyper_util", "reqwest", "rustls", "tonic", "tower"];

/// The SDK's own messages, of all its crates, are replaced by the kit's one line a minute.
#[cfg(feature = "logs")]
const SILENT: &str = "opentelemetry";

/// Whether a filter can be read.
#[cfg(feature = "logs")]
pub(crate) fn check_filter(filter: &str) -> Result<(), String> {
    parse_filter(filter).map(drop)
}

/// Nothing reads a filter in a build without log lines.
#[cfg(not(feature = "logs"))]
#[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
pub(crate) fn check_filter(_filter: &str) -> Result<(), String> {
    Ok(())
}

/// What the user names is not quiet: of two directives the longer target would win, and `h2::` is longer than `h2`.
#[cfg(feature = "logs")]
pub(crate) fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    let quiet = QUIET.iter().filter(|quiet| !names(filter, quiet)).map(|quiet| format!("{quiet}::=warn"));
    let directives: Vec<String> =
        std::iter::once(format!("{SILENT}=off")).chain(quiet).chain([filter.to_owned()]).collect();
    EnvFilter::builder().parse(directives.join(",")).map_err(|error| error.to_string())
}

/// Whether a directive is for this crate as a whole or for a module of it.
#[cfg(feature = "logs")]
fn names(filter: &str, name: &str) -> bool {
    filter.split(',').any(|directive| {
        let target = directive.trim().split(['=', '[']).next().unwrap_or_default();
        target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    })
}
