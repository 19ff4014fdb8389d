//! What a certificate says, as far as it matters here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

/// A certificate's names and end.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// DNS names and URIs of `subjectAltName`. What stands in the subject's common name is no name.
    pub(crate) names: Vec<String>,
    pub(crate) not_after: SystemTime,
}

impl Certificate {
    /// Reads it from its DER form, or says what is wrong with it.
    pub(crate) fn read(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|error| format!("it is no X.509 certificate: {error}"))?;
        let alternatives = certificate
            .subject_alternative_name()
            .map_err(|error| format!("its names cannot be read: {error}"))?;
        let general = alternatives.map(|found| found.value.general_names.as_slice()).unwrap_or_default();
        let name = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
            _ => None,
        };
        let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or_default();
        Ok(Self {
            names: general.iter().filter_map(name).collect(),
            not_after: UNIX_EPOCH + Duration::from_secs(end),
        })
    }
}

/// A moment as a message shows it.
pub(crate) fn moment(time: SystemTime) -> String {
    // Four digits are all that the form has for a year.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(time.min(last)).to_string()
}
