//! `waypost certificates`: an authority and a certificate for each role, to begin with.
//!
//! For one's own machine, for tests, and for a shop without a public-key infrastructure of its own. Repeated, it renews the
//! certificates of the roles and leaves the authority as it is; running processes take them up by themselves.

use std::fs;
use std::fs::Permissions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::cli::CertificatesArgs;
use crate::console::say;
use crate::exit::{Exit, Failure, OrExit as _};
use crate::settings::{Environment, Profile, load};

const DAY: Duration = Duration::from_hours(24);
/// How long the authority lives.
const AUTHORITY_DAYS: u32 = 10 * 365;
const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";

/// Makes or renews the files.
pub(crate) fn certificates(
    args: &CertificatesArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Exit, Failure> {
    let settings = load(Profile::Run, file, environment, Vec::new())?.settings;
    let folder = args.folder.as_path();
    fs::create_dir_all(folder).or_exit(Exit::CannotCreate, format!("making {}", folder.display()))?;
    let issuer = authority(folder)?;
    for (role, names) in settings.tls.names.each() {
        let (certificate, key) = pair(&issuer, names, args.days)
            .or_exit(Exit::BadConfig, format!("making a certificate for the names of {role}"))?;
        put(folder, &format!("{role}.key"), &key, PRIVATE)?;
        put(folder, &format!("{role}.pem"), &certificate, PUBLIC)?;
    }
    say(told(folder, args.days));
    Ok(Exit::Done)
}

const PRIVATE: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// The authority of the folder, which is made once.
fn authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, Failure> {
    let (certificate, key) = (folder.join(AUTHORITY), folder.join(AUTHORITY_KEY));
    match (fs::read_to_string(&certificate), fs::read_to_string(&key)) {
        (Ok(certificate_pem), Ok(key_pem)) => {
            let broken = || format!("reading the authority in {}", folder.display());
            let key = KeyPair::from_pem(&key_pem).or_exit(Exit::BadConfig, broken())?;
            return Issuer::from_ca_cert_pem(&certificate_pem, key).or_exit(Exit::BadConfig, broken());
        }
        (Err(one), Err(other)) if both_are_missing(&one, &other) => {}
        (Err(error), _) | (_, Err(error)) => {
            let attempted = format!("reading both {} and {}", certificate.display(), key.display());
            return Err(error).or_exit(Exit::Io, attempted);
        }
    }
    let made = || -> Result<_, rcgen::Error> {
        let mut params = CertificateParams::default();
        // Another name for each, so that a certificate of another authority is told as such.
        params.distinguished_name = called(&format!("Waypost authority {:08x}", fastrand::u32(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        lives(&mut params, AUTHORITY_DAYS);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem(), Issuer::new(params, key)))
    };
    let (certificate, key, issuer) = made().or_exit(Exit::Internal, "making an authority")?;
    put(folder, AUTHORITY_KEY, &key, PRIVATE)?;
    put(folder, AUTHORITY, &certificate, PUBLIC)?;
    Ok(issuer)
}

fn both_are_missing(one: &std::io::Error, other: &std::io::Error) -> bool {
    one.kind() == ErrorKind::NotFound && other.kind() == ErrorKind::NotFound
}

/// A certificate with these names, and its key, both PEM.
fn pair(issuer: &Issuer<'_, KeyPair>, names: &[String], days: u32) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    if let Some(name) = names.first() {
        params.distinguished_name = called(name);
    }
    for name in names {
        let text = Ia5String::try_from(name.as_str())?;
        let is_uri = name.contains("://");
        params.subject_alt_names.push(if is_uri { SanType::URI(text) } else { SanType::DnsName(text) });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // A role may be called and call others.
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    lives(&mut params, days);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn called(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// From yesterday on, for machines whose clocks differ.
fn lives(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + DAY * days).into();
}

/// Writes a file whole or not at all: a process may be reading it at this moment.
fn put(folder: &Path, name: &str, text: &str, mode: u32) -> Result<(), Failure> {
    let attempted = format!("writing {}", folder.join(name).display());
    let mut builder = tempfile::Builder::new();
    let permissions = permissions(mode);
    if let Some(permissions) = permissions {
        builder.permissions(permissions);
    }
    let mut file = builder.tempfile_in(folder).or_exit(Exit::CannotCreate, attempted.clone())?;
    file.write_all(text.as_bytes()).or_exit(Exit::Io, attempted.clone())?;
    file.as_file().sync_all().or_exit(Exit::Io, attempted.clone())?;
    file.persist(folder.join(name)).map(drop).or_exit(Exit::CannotCreate, attempted)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
fn permissions(mode: u32) -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    Some(Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn permissions(_: u32) -> Option<Permissions> {
    None
}

fn told(folder: &Path, days: u32) -> String {
    let folder = folder.display();
    format!(
        "\
wrote an authority (ca.pem, ca.key) and a certificate with its key for each role, good for {days} days, to {folder}

[tls]
certificate = \"{folder}/{{role}}.pem\"
key = \"{folder}/{{role}}.key\"
ca = \"{folder}/ca.pem\"

Give each role its own key only, and keep ca.key away from all of them: whoever has it can be any role.
Run this again to renew the certificates; processes that run take them up."
    )
}
