//! Whether the files that variables name hold what they are for: a wrong one is found when the program starts, and ignored
//! with a warning, and not when the first connection fails.

#[cfg(feature = "tls")]
pub(super) use read::{holds_certificates, holds_private_key};
#[cfg(not(feature = "tls"))]
pub(super) use unread::{holds_certificates, holds_private_key};

#[cfg(feature = "tls")]
mod read {
    use std::path::Path;

    use rustls::RootCertStore;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    pub(crate) fn holds_certificates(path: &Path) -> bool {
        let Ok(all) = CertificateDer::pem_file_iter(path) else { return false };
        let Ok(all) = all.collect::<Result<Vec<_>, _>>() else { return false };
        let mut read = RootCertStore::empty();
        !all.is_empty() && all.into_iter().all(|certificate| read.add(certificate).is_ok())
    }

    pub(crate) fn holds_private_key(path: &Path) -> bool {
        PrivateKeyDer::from_pem_file(path).is_ok()
    }
}

/// Without TLS nobody opens them.
#[cfg(not(feature = "tls"))]
mod unread {
    use std::path::Path;

    pub(crate) fn holds_certificates(_: &Path) -> bool {
        true
    }

    pub(crate) fn holds_private_key(_: &Path) -> bool {
        true
    }
}
