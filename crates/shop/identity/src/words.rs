//! What goes wrong between two ends, in words that say whose fault it is and what to look at.

use crate::{Files, certificate::moment, files::chain, material::WrongName};
use rustls::{AlertDescription, CertificateError, Error};
use std::{
    io,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

/// A failure, as a short word for metrics and as a sentence about the other end ("it ...").
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

fn words(kind: &'static str, text: impl Into<String>) -> Words {
    Words { kind, text: text.into() }
}

/// What a failed handshake, or a connection that TLS broke off, says of the other end.
pub(crate) fn of(error: &io::Error, own: &Files) -> Words {
    let found = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(found) = found else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                words("closed", "it closed the connection during the handshake")
            }
            _ => words("io", chain(error)),
        };
    };
    match found {
        Error::InvalidCertificate(reason) => of_certificate(reason, &own.authorities),
        Error::NoCertificatesPresented => words("no_certificate", "it shows no certificate"),
        Error::AlertReceived(alert) => of_alert(*alert, own),
        Error::InvalidMessage(_) => words("not_tls", "it does not speak TLS"),
        Error::PeerIncompatible(_) => words("no_tls_1_3", format!("it does not speak TLS 1.3: {found}")),
        Error::NoApplicationProtocol => words("no_http2", "it does not speak HTTP/2 over TLS"),
        _ => words("other", found.to_string()),
    }
}

fn of_certificate(reason: &CertificateError, authorities: &Path) -> Words {
    match reason {
        // The latter when an authority of the same name has another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => words(
            "unknown_authority",
            format!("its certificate is signed by none of the authorities in {}", authorities.display()),
        ),
        CertificateError::ExpiredContext { not_after, .. } => {
            let end = moment(UNIX_EPOCH + Duration::from_secs(not_after.as_secs()));
            words("expired", format!("its certificate ended at {end}"))
        }
        CertificateError::Expired => words("expired", "its certificate has ended"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            words("not_valid_yet", "its certificate is not valid yet; compare the clocks of the two machines")
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<WrongName>() {
            Some(wrong) => words("wrong_name", wrong.to_string()),
            None => words("bad_certificate", format!("its certificate cannot be accepted: {reason}")),
        },
        _ => words("bad_certificate", format!("its certificate cannot be accepted: {reason}")),
    }
}

/// What the other end says of us. It cannot tell much: its own log has the reason.
fn of_alert(alert: AlertDescription, own: &Files) -> Words {
    let certificate = own.certificate.display();
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            words("refused", format!("it does not know the authority of our certificate in {certificate}"))
        }
        AlertDescription::CertificateExpired => {
            words("refused", format!("it says that our certificate in {certificate} has ended"))
        }
        AlertDescription::CertificateRequired => words("refused", "it asks for a certificate and got none"),
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => {
            words("refused", format!("it refuses our certificate in {certificate} ({alert:?})"))
        }
        AlertDescription::ProtocolVersion => words("no_tls_1_3", "it does not speak TLS 1.3"),
        AlertDescription::NoApplicationProtocol => words("no_http2", "it does not speak HTTP/2 over TLS"),
        alert => words("refused", format!("it broke TLS off ({alert:?})")),
    }
}
