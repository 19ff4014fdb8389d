//! From the contents of the files to what TLS takes, or to what is wrong with them.

use crate::{
    Error, Files, Names,
    certificate::{Certificate, moment},
    files::Contents,
    names::{is_any, shown},
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, OtherError, RootCertStore,
    ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use std::{fmt, path::Path, sync::Arc, time::SystemTime};

/// The one protocol over these connections.
const ALPN: &[u8] = b"h2";

/// A pair and its authorities, ready for use.
pub(crate) struct Material {
    own: Arc<CertifiedKey>,
    roots: Arc<RootCertStore>,
    /// For connections that are accepted.
    pub(crate) server: Arc<ServerConfig>,
    /// When the first certificate of the own chain ends.
    pub(crate) not_after: SystemTime,
}

/// The provider of cryptography, as a value.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Material {
    /// Takes what all of it holds for: it can be read, the key is the certificate's, the certificate is the role's, in
    /// time, and signed by one of the authorities.
    pub(crate) fn new(
        role: &'static str,
        files: &Files,
        contents: &Contents,
        names: &Names,
    ) -> Result<Self, Error> {
        let chain = certificates(&files.certificate, &contents.certificate)?;
        let unusable = |path: &Path, reason: String| Error::Unusable { path: path.to_path_buf(), reason };
        let read = chain.iter().map(|der| Certificate::read(der)).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|reason| unusable(&files.certificate, reason))?;
        let not_after = read.iter().map(|read| read.not_after).min().unwrap_or(SystemTime::UNIX_EPOCH);
        let own_names = read.into_iter().next().map(|read| read.names).unwrap_or_default();

        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| unusable(&files.key, format!("it holds no private key in PEM form: {error}")))?;
        let own = CertifiedKey::from_der(chain.clone(), key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Error::Pair { certificate: files.certificate.clone(), key: files.key.clone() }
            }
            error => unusable(&files.key, error.to_string()),
        })?;
        let own = Arc::new(own);

        let mut roots = RootCertStore::empty();
        for authority in certificates(&files.authorities, &contents.authorities)? {
            roots.add(authority).map_err(|error| unusable(&files.authorities, error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let of_clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| unusable(&files.authorities, error.to_string()))?;

        is_accepted(&chain, &roots, of_clients.as_ref(), &files.authorities, not_after)
            .map_err(|reason| Error::Unaccepted { certificate: files.certificate.clone(), reason })?;
        if !is_any(names.of(role), &own_names) {
            return Err(Error::OfAnother {
                certificate: files.certificate.clone(),
                role,
                found: shown(&own_names),
                expected: shown(names.of(role)),
            });
        }

        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| unusable(&files.certificate, error.to_string()))?
            .with_client_cert_verifier(of_clients)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own))));
        server.alpn_protocols = vec![ALPN.to_vec()];
        // No sessions, which would be resumed without certificates.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { own, roots, server: Arc::new(server), not_after })
    }

    /// For a connection to a role that is known by these names.
    pub(crate) fn client(
        &self,
        role: &'static str,
        names: &[String],
    ) -> Result<Arc<ClientConfig>, rustls::Error> {
        let provider = provider();
        let verifier = OfRole {
            role,
            names: names.to_vec(),
            roots: Arc::clone(&self.roots),
            provider: Arc::clone(&provider),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.own))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unusable = |reason: String| Error::Unusable { path: path.to_path_buf(), reason };
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| unusable(format!("its PEM form is broken: {error}")))?;
    if all.is_empty() {
        return Err(unusable("it holds no certificate in PEM form".to_owned()));
    }
    Ok(all)
}

/// Whether the others would take the certificate, who are given the same authorities: as a server's or as a client's, for
/// a role may be one of the two only.
fn is_accepted(
    chain: &[CertificateDer<'static>],
    roots: &RootCertStore,
    of_clients: &dyn ClientCertVerifier,
    authorities: &Path,
    not_after: SystemTime,
) -> Result<(), String> {
    let Some((own, between)) = chain.split_first() else { return Err("there is none".to_owned()) };
    let now = UnixTime::now();
    let as_server = || {
        let cert = ParsedCertificate::try_from(own)?;
        let algorithms = provider().signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&cert, roots, between, now, algorithms.all)
    };
    let as_client = || of_clients.verify_client_cert(own, between, now).map(drop);
    as_client().or_else(|_| as_server()).map_err(|error| match error {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!("it ended at {}", moment(not_after)),
        rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => {
            format!("it is signed by none of the authorities in {}", authorities.display())
        }
        error => error.to_string(),
    })
}

/// Takes a server's certificate when an authority has signed it for the role that is called.
#[derive(Debug)]
struct OfRole {
    role: &'static str,
    names: Vec<String>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

/// A certificate that is in order and another's.
#[derive(Debug)]
pub(crate) struct WrongName {
    expected: &'static str,
    found: String,
}

impl fmt::Display for WrongName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its certificate names {}, which is not the role {}", self.found, self.expected)
    }
}

impl std::error::Error for WrongName {}

impl ServerCertVerifier for OfRole {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms.all)?;
        let read = Certificate::read(end_entity)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if is_any(&self.names, &read.names) {
            return Ok(ServerCertVerified::assertion());
        }
        let wrong = WrongName { expected: self.role, found: shown(&read.names) };
        Err(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(wrong)))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
