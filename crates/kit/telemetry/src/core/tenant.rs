//! The tenant a request belongs to: in baggage between services, as `tenant.id` on every span.
//!
//! Set once where the tenant is known (the gateway, from a verified token); every service behind it then has it
//! without passing a parameter. A tenant that came over the wire is checked before it becomes an attribute: only
//! a well-formed [`TenantId`] does.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;

use crate::base::attributes::TENANT_ID;
use crate::core::baggage;

/// Longest tenant id.
const MAX_LENGTH: usize = 64;

/// A well-formed tenant id: 1 to 64 of `A-Z a-z 0-9 _ . -`.
///
/// ```
/// use waypost_telemetry::tenant::{InvalidTenant, TenantId};
///
/// assert_eq!(TenantId::new("acme")?.as_str(), "acme");
/// assert_eq!(TenantId::new("not a tenant"), Err(InvalidTenant));
/// # Ok::<(), InvalidTenant>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantId(String);

/// The text is not a tenant id.
///
/// ```
/// use waypost_telemetry::tenant::{InvalidTenant, TenantId};
///
/// assert_eq!(TenantId::new(""), Err(InvalidTenant));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tenant id has 1 to 64 of the characters A-Z a-z 0-9 _ . -")]
pub struct InvalidTenant;

impl TenantId {
    /// Checks length and characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidTenant> {
        let text = text.into();
        if is_valid(&text) { Ok(Self(text)) } else { Err(InvalidTenant) }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `context` with this tenant in its baggage.
///
/// ```
/// use waypost_telemetry::tenant::{self, TenantId};
/// use waypost_telemetry::testing::TestTelemetry;
///
/// let telemetry = TestTelemetry::new("api-gateway");
/// let acme = TenantId::new("acme")?;
/// let context = tenant::with_tenant(&telemetry.context(), &acme);
/// telemetry.span("show-cart").parent(&context).in_scope(|| ());
/// telemetry.tree().assert_matches("show-cart INTERNAL api-gateway tenant.id=acme");
/// # Ok::<(), tenant::InvalidTenant>(())
/// ```
#[must_use]
pub fn with_tenant(context: &Context, tenant: &TenantId) -> Context {
    baggage::with(context, TENANT_ID, tenant.as_str())
}

/// The tenant of the current context, if there is a well-formed one.
///
/// ```
/// use waypost_telemetry::opentelemetry::Context;
/// use waypost_telemetry::tenant::{self, TenantId};
///
/// let context = tenant::with_tenant(&Context::new(), &TenantId::new("acme")?);
/// let _attached = context.attach();
/// assert_eq!(tenant::current(), Some(TenantId::new("acme")?));
/// # Ok::<(), tenant::InvalidTenant>(())
/// ```
pub fn current() -> Option<TenantId> {
    Context::map_current(of)
}

/// The tenant of `context`, if there is a well-formed one.
///
/// ```
/// use waypost_telemetry::opentelemetry::Context;
/// use waypost_telemetry::tenant::{self, TenantId};
///
/// let context = tenant::with_tenant(&Context::new(), &TenantId::new("acme")?);
/// assert_eq!(tenant::of(&context), Some(TenantId::new("acme")?));
/// # Ok::<(), tenant::InvalidTenant>(())
/// ```
pub fn of(context: &Context) -> Option<TenantId> {
    context.baggage().get(TENANT_ID).and_then(|value| TenantId::new(value.as_str()).ok())
}

pub(crate) fn is_valid(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}
