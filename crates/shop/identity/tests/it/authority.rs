//! Certificates made on the spot.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;
use waypost_identity::{Files, Names};

/// Signs certificates.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        (vec![certificate], PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap())
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate with these names that is good for a day.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(names, SystemTime::now() + Duration::from_hours(24))
    }

    pub(crate) fn issue_until(&self, names: &[&str], not_after: SystemTime) -> Pair {
        let mut params = CertificateParams::default();
        for name in names {
            let text = (*name).try_into().unwrap();
            let is_uri = name.contains("://");
            params.subject_alt_names.push(if is_uri { SanType::URI(text) } else { SanType::DnsName(text) });
        }
        params.not_before = (SystemTime::now() - Duration::from_hours(48)).into();
        params.not_after = not_after.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// The files of one role.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(pair: &Pair, authorities: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put("role.pem", &pair.certificate);
        folder.put("role.key", &pair.key);
        folder.put("ca.pem", authorities);
        folder
    }

    pub(crate) fn put(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn files(&self) -> Files {
        let file = |name: &str| self.path().join(name);
        Files { certificate: file("role.pem"), key: file("role.key"), authorities: file("ca.pem") }
    }
}

/// Order by its DNS name, inventory by a URI as well.
pub(crate) fn names() -> Names {
    Names::new([
        ("order", vec!["order".to_owned()]),
        ("inventory", vec!["inventory".to_owned(), "spiffe://shop.example/inventory".to_owned()]),
    ])
}
