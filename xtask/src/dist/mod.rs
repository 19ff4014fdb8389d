//! `cargo xtask dist`: what is given to others.
//!
//! One tarball: the binary, completions, manual pages, the commented configuration, systemd units, the licences of everything
//! that is linked in ([`licences`]) and a bill of materials ([`sbom`]); beside it the bill alone and the check sums. The same
//! commit and toolchain give the same tarball but for what the compiler does, which goes by counts of a load ([`profiled`]): names
//! are sorted, times are the commit's, nobody owns the files. The binary wants the C library of the machine that built it or a newer one, and the libraries that Kafka's client
//! is linked with; all are said.

mod licences;
mod linked;
mod needs;
mod profiled;
mod sbom;
mod validation;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};
use sha2::{Digest as _, Sha256};

use crate::needs::output;
use crate::run::{RELEASED, say};
use linked::Linked;

/// Completions: the shell, and where its package managers put the file.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/waypost"),
    ("zsh", "share/zsh/site-functions/_waypost"),
    ("fish", "share/fish/vendor_completions.d/waypost.fish"),
];

/// Files of the repository, and where they go.
const COPIED: [(&str, &str); 8] = [
    ("LICENSE-MIT", "share/doc/waypost/LICENSE-MIT"),
    ("LICENSE-APACHE", "share/doc/waypost/LICENSE-APACHE"),
    ("README.md", "share/doc/waypost/README.md"),
    ("CHANGELOG.md", "share/doc/waypost/CHANGELOG.md"),
    ("docs/operations.md", "share/doc/waypost/operations.md"),
    ("deploy/systemd/waypost@.service", "lib/systemd/system/waypost@.service"),
    ("deploy/systemd/waypost-viewer.service", "lib/systemd/system/waypost-viewer.service"),
    ("deploy/systemd/waypost.sysusers", "lib/sysusers.d/waypost.conf"),
];

/// What `cargo xtask dist` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// A program that is built; without one it is built here.
    program: Option<PathBuf>,
    /// Where the files go; without one into `target/dist-files`.
    to: Option<PathBuf>,
}

impl Asked {
    fn read(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut asked = Self::default();
        for pair in arguments.chunks(2) {
            match *pair {
                ["--program", program] => asked.program = Some(PathBuf::from(program)),
                ["--to", folder] => asked.to = Some(PathBuf::from(folder)),
                _ => bail!("`cargo xtask dist` takes nothing but `--program <file>` and `--to <folder>`"),
            }
        }
        Ok(asked)
    }
}

/// Builds the release, with all its features and after what it does under load ([`profiled`]), and packs it.
pub(crate) fn dist(arguments: &[&str]) -> anyhow::Result<()> {
    let asked = Asked::read(arguments)?;
    let host = host()?;
    // Without it the packages of all other systems would be listed as linked in.
    let for_host = vec!["--filter-platform".to_owned(), host.clone()];
    let metadata = MetadataCommand::new()
        .features(CargoOpt::SomeFeatures(vec![RELEASED.to_owned()]))
        .other_options(for_host)
        .exec()
        .context("cargo metadata failed")?;
    let root = metadata.workspace_root.as_std_path();
    let target = metadata.target_directory.as_std_path();
    let program =
        if let Some(program) = asked.program { program } else { profiled::build(target, &host, RELEASED)? };
    let linked = linked(&metadata)?;

    let name = format!("waypost-{}-{host}", linked.version());
    let files = asked.to.unwrap_or_else(|| target.join("dist-files"));
    let tree = files.join(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    fill(&tree, root, &program, &linked)?;
    let tarball = files.join(format!("{name}.tar.gz"));
    pack(&files, &name, &tarball, commit_time(root))?;
    let bill = files.join(format!("{name}.cdx.json"));
    fs::copy(tree.join("share/doc/waypost/waypost.cdx.json"), &bill)
        .context("copying the bill of materials")?;
    write(&files.join("SHA256SUMS"), &check_sums(&[&tarball, &bill])?)?;

    if validation::check(&bill, &target.join("deploy-tools"))? {
        say("dist: the bill of materials follows CycloneDX 1.5, and a broken one was refused\n");
    } else {
        say("LEFT OUT: the bill of materials was not checked, as the library of CycloneDX cannot be had\n");
    }
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default();
    let binary = fs::read(&program).context("reading the binary")?;
    let glibc = format!("glibc {} or newer", needs::glibc(&binary).unwrap_or("of no version"));
    let libraries = needs::libraries(&binary).into_iter().map(str::to_owned);
    say(&format!(
        "dist: {}: {} KiB, {} KiB unpacked binary, {} packages linked in; needs {}\n",
        tarball.display(),
        size(&tarball) / 1024,
        size(&program) / 1024,
        linked.packages.len(),
        [glibc].into_iter().chain(libraries).collect::<Vec<_>>().join(", "),
    ));
    Ok(())
}

fn linked(metadata: &Metadata) -> anyhow::Result<Linked<'_>> {
    let lock =
        fs::read_to_string(metadata.workspace_root.join("Cargo.lock")).context("reading Cargo.lock")?;
    Linked::into(metadata, "waypost", &lock)
}

/// Puts everything where it belongs below `/usr`.
fn fill(tree: &Path, root: &Path, program: &Path, linked: &Linked<'_>) -> anyhow::Result<()> {
    let binary = tree.join("bin/waypost");
    fs::create_dir_all(tree.join("bin")).with_context(|| format!("making {}", tree.display()))?;
    fs::copy(program, &binary).with_context(|| format!("copying {}", program.display()))?;
    let says = |arguments: &[&str]| {
        // Its own settings, and nobody's configuration: an empty environment in a folder that has none.
        output(Command::new(&binary).env_clear().current_dir(tree).args(arguments))
    };
    for (shell, place) in COMPLETIONS {
        write(&tree.join(place), &(says(&["completions", shell])? + "\n"))?;
    }
    says(&["man-pages", "share/man/man1"])?;
    write(&tree.join("share/doc/waypost/waypost.toml"), &(says(&["config", "docs"])? + "\n"))?;
    for (from, to) in COPIED {
        let text = fs::read_to_string(root.join(from)).with_context(|| format!("reading {from}"))?;
        write(&tree.join(to), &text)?;
    }
    write(&tree.join("share/doc/waypost/THIRD-PARTY-LICENSES.txt"), &licences::texts(linked))?;
    let bill =
        serde_json::to_string_pretty(&sbom::cyclonedx(linked)).context("writing the bill of materials")?;
    write(&tree.join("share/doc/waypost/waypost.cdx.json"), &(bill + "\n"))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// GNU tar, told to leave out what differs from machine to machine.
fn pack(files: &Path, name: &str, tarball: &Path, time: u64) -> anyhow::Result<()> {
    output(
        Command::new("tar")
            .current_dir(files)
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rw,go=rX"])
            .arg(format!("--mtime=@{time}"))
            .args(["--use-compress-program=gzip -9n", "-cf"])
            .arg(tarball)
            .arg(name),
    )
    .map(drop)
    .context("packing the tarball")
}

/// `SOURCE_DATE_EPOCH`, else the time of the commit, else 0.
fn commit_time(root: &Path) -> u64 {
    let set = std::env::var("SOURCE_DATE_EPOCH").ok();
    let said = set
        .or_else(|| output(Command::new("git").current_dir(root).args(["log", "-1", "--format=%ct"])).ok());
    said.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or_default()
}

/// Such as `x86_64-unknown-linux-gnu`.
fn host() -> anyhow::Result<String> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which machine it builds")
}

/// As `sha256sum --check` reads it.
fn check_sums(files: &[&Path]) -> anyhow::Result<String> {
    let line = |path: &&Path| -> anyhow::Result<String> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{}  {name}\n", hexadecimal(&Sha256::digest(bytes))))
    };
    files.iter().map(line).collect()
}

/// Bytes as text, two digits each.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digits = |byte: &u8| format!("{byte:02x}");
    bytes.iter().map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_sums_are_what_sha256sum_checks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc.txt");
        fs::write(&file, "abc").unwrap();
        fs::write(folder.path().join("SHA256SUMS"), check_sums(&[&file]).unwrap()).unwrap();
        let checked =
            output(Command::new("sha256sum").current_dir(folder.path()).args(["--check", "SHA256SUMS"]));
        assert_eq!(checked.unwrap(), "abc.txt: OK");
    }

    #[test]
    fn the_same_files_make_the_same_tarball() {
        let folder = tempfile::tempdir().unwrap();
        let packed = |name: &str| {
            let tree = folder.path().join("tree");
            // Another order of making, and another time.
            for file in if name == "one" { ["a", "b"] } else { ["b", "a"] } {
                write(&tree.join(file), file).unwrap();
            }
            let tarball = folder.path().join(format!("{name}.tar.gz"));
            pack(folder.path(), "tree", &tarball, 1_700_000_000).unwrap();
            fs::remove_dir_all(tree).unwrap();
            fs::read(tarball).unwrap()
        };
        assert!(packed("one") == packed("two"), "they differ");
    }

    #[test]
    fn arguments_come_in_pairs() {
        let asked = Asked::read(&["--to", "there", "--program", "this"]).unwrap();
        assert_eq!(asked, Asked { program: Some("this".into()), to: Some("there".into()) });
        assert_eq!(Asked::read(&[]).unwrap(), Asked::default());
        assert!(Asked::read(&["--program"]).is_err() && Asked::read(&["--fast", "yes"]).is_err());
    }

    #[test]
    fn every_file_that_is_copied_is_there() {
        let metadata = MetadataCommand::new().no_deps().exec().unwrap();
        for (from, _) in COPIED {
            assert!(metadata.workspace_root.join(from).is_file(), "{from}");
        }
    }
}
