//! Who each role of this process is to the others.

use waypost_identity::Identity;

use super::Role;
use crate::exit::{Exit, Failure};
use crate::settings::Settings;

/// Reads the certificate of a role, if TLS is on and the role speaks to others by gRPC.
///
/// # Errors
/// When its files cannot be used.
pub(super) fn of(role: Role, settings: &Settings) -> Result<Option<Identity>, Failure> {
    let speaks = role == Role::Gateway || role.grpc_services().is_some();
    let Some(files) = settings.tls.files(role).filter(|_| speaks) else { return Ok(None) };
    Identity::open(role.name(), files, settings.tls.names()).map(Some).map_err(|error| {
        let error = anyhow::Error::new(error);
        Failure::new(Exit::BadConfig, error.context(format!("TLS of the role {}", role.name())))
    })
}
