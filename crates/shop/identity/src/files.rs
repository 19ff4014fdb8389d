//! The files of a role, and what can be wrong with them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Files that show who a role is and whom it trusts, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by those between it and its authority, if there are any.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificates of the authorities that the other roles' certificates are signed by.
    pub authorities: PathBuf,
}

/// What is in them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) authorities: Vec<u8>,
}

impl Files {
    pub(crate) fn read(&self) -> Result<Contents, Error> {
        let read =
            |path: &Path| fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source });
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            authorities: read(&self.authorities)?,
        })
    }
}

/// Why the files of a role cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key are not of one pair.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Nobody would take the certificate.
    #[error("nobody would accept the certificate in {}: {reason}", certificate.display())]
    Unaccepted {
        /// The file of the certificate.
        certificate: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate is another role's.
    #[error("the certificate in {} names {found}, and the role {role} is called {expected}", certificate.display())]
    OfAnother {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The role that it is to show.
        role: &'static str,
        /// The names in the certificate.
        found: String,
        /// The names of the role.
        expected: String,
    },
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
