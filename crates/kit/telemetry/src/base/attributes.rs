//! Names of the attributes that the kit itself sets on any program's spans, beside those of its edges.
//!
//! The names of the OpenTelemetry conventions stay with the layers that set them; the words of a program's own
//! business belong to that program.

/// The tenant; taken from baggage on every span, see [`crate::tenant`].
pub const TENANT_ID: &str = "tenant.id";
/// Low-cardinality class of a failure, as in the semantic conventions.
pub const ERROR_TYPE: &str = "error.type";
/// How a span ended when neither its status nor `error.type` say so: `cancelled` or `panic`.
pub const OUTCOME: &str = "waypost.outcome";
/// The version of the OpenTelemetry semantic conventions that the kit's names are of, as a schema URL.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
