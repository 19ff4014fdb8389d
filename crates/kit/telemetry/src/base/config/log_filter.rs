//! The filter of log lines, in the syntax of `RUST_LOG`, over what is quiet by default.

use tracing_subscriber::EnvFilter;

/// Libraries that are quiet unless the filter names them. The SDK's own messages are replaced by the kit's one
/// line a minute.
const QUIET: &str =
    "opentelemetry=off,h2=warn,hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,tonic=warn,tower=warn";

/// Whether a filter can be read.
pub(crate) fn check_filter(filter: &str) -> Result<(), String> {
    parse_filter(filter).map(drop)
}

/// Later directives win, so what the user names is not quiet.
pub(crate) fn parse_filter(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::builder().parse(format!("{QUIET},{filter}")).map_err(|error| error.to_string())
}
