//! Debian's packages, and things that are made once and kept.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{on_path, output, tell};

/// Asked by Debian's packages before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs Debian packages, if this machine has them and the user may.
///
/// # Errors
/// What to do instead, or what apt-get said.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let wanted = packages.join(" ");
    if on_path(&["apt-get"]).is_none() {
        bail!("install them with this system's packages (Debian calls them {wanted})");
    }
    if !is_root()? {
        bail!("only root can install them: apt-get install --no-install-recommends {wanted}");
    }
    tell(&format!("needs: installing {wanted} with apt-get\n"));
    let apt = |arguments: &[&str]| {
        let options = ["-o", "DPkg::Lock::Timeout=300"];
        output(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(options).args(arguments))
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())?;
    Ok(())
}

/// As [`install`], for packages that bring a service: it is neither started now nor with the machine.
pub(crate) fn install_without_service(packages: &[&str], service: &str) -> anyhow::Result<()> {
    let policy = if is_root()? { Policy::forbid(Path::new(POLICY))? } else { None };
    let installed = install(packages);
    drop(policy);
    installed?;
    if on_path(&["systemctl"]).is_some() {
        // Without systemd running it only takes the links away; where that fails there is nothing to take away.
        let _ = output(Command::new("systemctl").args(["disable", service]));
    }
    Ok(())
}

pub(crate) fn is_root() -> anyhow::Result<bool> {
    Ok(output(Command::new("id").arg("-u"))? == "0")
}

/// Forbids packages to start their services while it lives. One that an administrator wrote stays as it is.
struct Policy {
    path: PathBuf,
}

impl Policy {
    fn forbid(path: &Path) -> anyhow::Result<Option<Self>> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
        let mut file = match made {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("writing {}", path.display())),
        };
        let policy = Self { path: path.to_owned() };
        file.write_all(b"#!/bin/sh\nexit 101\n").with_context(|| format!("writing {}", path.display()))?;
        Ok(Some(policy))
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tell(&format!("needs: {} could not be removed, do it by hand: {error}\n", self.path.display()));
        }
    }
}

/// Fills a folder with `make`, unless it was filled with the same stamp before. The stamp is written last, so that half
/// an installation is never taken for a whole one.
pub(crate) fn made_once(
    folder: &Path,
    stamp: &str,
    make: impl FnOnce(&Path) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let written: PathBuf = folder.join("stamp");
    if fs::read_to_string(&written).is_ok_and(|before| before == stamp) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    tell(&format!("needs: installing packages into {}\n", folder.display()));
    make(folder).context("the packages could not be installed")?;
    fs::write(&written, stamp).with_context(|| format!("writing {}", written.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_for_each_stamp_and_again_after_a_failure() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("clients/python");
        let made = std::cell::Cell::new(0);
        let make = |stamp: &str, works: bool| {
            made_once(&folder, stamp, |folder| {
                made.set(made.get() + 1);
                assert_eq!(fs::read_dir(folder)?.count(), 0, "nothing is left of the one before");
                fs::write(folder.join("package"), "")?;
                anyhow::ensure!(works, "no network");
                Ok(String::new())
            })
        };
        make("one", true).unwrap();
        make("one", true).unwrap();
        assert_eq!(made.get(), 1);

        let failed = make("two", false).unwrap_err();
        assert_eq!(format!("{failed:#}"), "the packages could not be installed: no network");
        make("two", true).unwrap();
        make("two", true).unwrap();
        assert_eq!(made.get(), 3);
        make("one", true).unwrap();
        assert_eq!(made.get(), 4);
    }

    #[test]
    fn services_are_forbidden_while_packages_are_installed_and_not_longer() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("policy-rc.d");
        let policy = Policy::forbid(&path).unwrap();
        assert!(policy.is_some());
        let forbidden = Command::new(&path).arg("redis-server").arg("start").status().unwrap();
        assert_eq!(forbidden.code(), Some(101), "101 forbids it");
        drop(policy);
        assert!(!path.exists());

        fs::write(&path, "the administrator's").unwrap();
        assert!(Policy::forbid(&path).unwrap().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), "the administrator's");
    }
}
