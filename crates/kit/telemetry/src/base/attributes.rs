//! Names of the attributes that the kit itself sets on any program's spans, beside those of its edges.
//!
//! The names of the OpenTelemetry conventions stay with the layers that set them; the words of a program's own
//! business belong to that program.

/// The tenant; taken from baggage on every span, see [`crate::tenant`].
///
/// ```
/// use waypost_telemetry::{attributes::TENANT_ID, baggage, span, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// let _attached = baggage::with(&telemetry.context(), TENANT_ID, "acme").attach();
/// span("show").in_scope(|| ());
/// assert_eq!(telemetry.only_span("show").attribute(TENANT_ID), Some(&"acme".into()));
/// ```
pub const TENANT_ID: &str = "tenant.id";
/// Low-cardinality class of a failure, as in the semantic conventions.
///
/// ```
/// use waypost_telemetry::attributes::ERROR_TYPE;
/// use waypost_telemetry::{Outcome, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("place").start().end(Outcome::Error("sold_out".into()));
/// assert_eq!(telemetry.only_span("place").attribute(ERROR_TYPE), Some(&"sold_out".into()));
/// ```
pub const ERROR_TYPE: &str = "error.type";
/// How a span ended when neither its status nor `error.type` say so: `cancelled` or `panic`.
///
/// ```
/// use waypost_telemetry::attributes::OUTCOME;
/// use waypost_telemetry::{Outcome, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("wait").start().end(Outcome::Cancelled);
/// assert_eq!(telemetry.only_span("wait").attribute(OUTCOME), Some(&"cancelled".into()));
/// ```
pub const OUTCOME: &str = "waypost.outcome";
/// Why a trace was recorded that its sampler would have left out: `debug` where the request asked for it; `error`, `slow`, `rare`
/// or `attribute` where a tail buffer kept it.
///
/// ```
/// use waypost_telemetry::attributes::SAMPLING_REASON;
///
/// assert_eq!(SAMPLING_REASON, "waypost.sampling.reason");
/// ```
pub const SAMPLING_REASON: &str = "waypost.sampling.reason";
/// The version of the OpenTelemetry semantic conventions that the kit's names are of, as a schema URL.
///
/// ```
/// use waypost_telemetry::{attributes::SCHEMA_URL, testing::TestTelemetry};
///
/// let telemetry = TestTelemetry::new("order-service");
/// telemetry.span("show").in_scope(|| ());
/// assert_eq!(telemetry.only_span("show").instrumentation_scope().schema_url(), Some(SCHEMA_URL));
/// ```
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
