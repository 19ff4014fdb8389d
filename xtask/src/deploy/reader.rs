//! A program that reads files: how it is asked, and what counts as a refusal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use super::schemas;
use super::tools::{self, Tool};
use crate::needs::output;

/// What a kustomization is always called.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// A program that reads files, and says no to what it cannot read.
pub(super) struct Reader {
    /// How it is asked for on the command line.
    pub(super) name: &'static str,
    pub(super) tool: &'static Tool,
    /// Its arguments: `{}` is the file, `{parent}` the file's folder, `{folder}` an empty folder of its own.
    pub(super) arguments: &'static [&'static str],
    /// Files of the repository; the last part may begin with `*`.
    pub(super) files: &'static [&'static str],
    /// A file of `xtask/broken`, and what the reader must say about it.
    pub(super) broken: (&'static str, &'static str),
    /// What the reader needs beside its arguments.
    pub(super) needs: &'static [Need],
}

/// What a reader needs that is not like the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A unit's program is not installed here; one that is stands in for it.
    AnotherProgram,
    /// It takes what it does not know and only says so: whatever it says is a refusal.
    Silence,
    /// A kustomization is rendered first, and what comes of it is read. `{parent}` in the arguments is its folder.
    Rendering,
    /// `{schemas}` in the arguments is the folder of the schemas of Kubernetes and of others.
    Schemas,
    /// Variables without which the files mean nothing.
    Variables(&'static [(&'static str, &'static str)]),
}

/// A reader's program, and what it needs beside it.
#[derive(Debug)]
pub(super) struct Ready {
    program: PathBuf,
    kustomize: Option<PathBuf>,
    schemas: Option<PathBuf>,
}

impl Reader {
    /// Finds or installs all that it takes, below `folder`.
    pub(super) fn prepare(&self, folder: &Path) -> anyhow::Result<Ready> {
        let needs = |need| self.needs.contains(&need);
        Ok(Ready {
            program: tools::find(self.tool, folder)?,
            kustomize: needs(Need::Rendering).then(|| tools::find(&tools::KUSTOMIZE, folder)).transpose()?,
            schemas: needs(Need::Schemas).then(|| schemas::prepare(folder)).transpose()?,
        })
    }

    /// One sentence for each file that it refuses, and for the broken one if it takes that.
    pub(super) fn check(&self, root: &Path, ready: &Ready) -> anyhow::Result<Vec<String>> {
        let mut problems = Vec::new();
        for place in self.places(root)? {
            let said = self.read(root, ready, &place)?;
            if !self.takes(&said) {
                let place = place.strip_prefix(root).unwrap_or(&place).display();
                problems.push(format!("{} refuses {place}:\n{}", self.name, indented(&said)));
            }
        }
        let (file, complaint) = self.broken;
        let said = self.read(root, ready, &root.join("xtask/broken").join(file))?;
        if self.takes(&said) || !text(&said).contains(complaint) {
            problems.push(format!(
                "{} does not say {complaint:?} of xtask/broken/{file} ({}):\n{}",
                self.name,
                said.status,
                indented(&said)
            ));
        }
        Ok(problems)
    }

    fn read(&self, root: &Path, ready: &Ready, file: &Path) -> anyhow::Result<Output> {
        let own = tempfile::tempdir().context("making a folder for the reader")?;
        let file = if self.needs.contains(&Need::AnotherProgram) {
            with_a_program(file, own.path())?
        } else {
            file.to_owned()
        };
        let is_kustomization = file.file_name().is_some_and(|name| name == KUSTOMIZATION);
        let file = match &ready.kustomize {
            Some(kustomize) if is_kustomization => rendered(kustomize, &file, own.path())?,
            _ => file,
        };
        let argument = |argument: &&str| {
            argument
                .replace("{}", &file.display().to_string())
                .replace("{parent}", &file.parent().unwrap_or(root).display().to_string())
                .replace("{schemas}", &ready.schemas.as_deref().unwrap_or(root).display().to_string())
                .replace("{folder}", &own.path().display().to_string())
        };
        let variables = self.needs.iter().flat_map(|need| match need {
            Need::Variables(variables) => variables.iter().copied(),
            _ => [].iter().copied(),
        });
        Command::new(&ready.program)
            .args(self.arguments.iter().map(argument))
            .envs(variables)
            .current_dir(root)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", ready.program.display()))
    }

    fn takes(&self, output: &Output) -> bool {
        output.status.success() && (!self.needs.contains(&Need::Silence) || text(output).is_empty())
    }

    /// The files that its patterns mean, sorted. A pattern that means none is a mistake.
    pub(super) fn places(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut places = BTreeSet::new();
        for pattern in self.files {
            let found = matching(root, pattern)?;
            if found.is_empty() {
                bail!("{}: there is no file {pattern}", self.name);
            }
            places.extend(found);
        }
        Ok(places.into_iter().collect())
    }
}

/// What kustomize makes of a kustomization, in a file of this folder.
fn rendered(kustomize: &Path, kustomization: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let from = kustomization.parent().context("a kustomization without a folder")?;
    let text = output(Command::new(kustomize).arg("build").arg(from))?;
    let to = folder.join("rendered.yaml");
    fs::write(&to, text).context("writing what was rendered")?;
    Ok(to)
}

/// A copy of a unit that starts a program which every machine has.
fn with_a_program(unit: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let text = fs::read_to_string(unit).with_context(|| format!("reading {}", unit.display()))?;
    let copy = folder.join(unit.file_name().unwrap_or_default());
    fs::write(&copy, text.replace("/usr/bin/waypost", "/bin/true")).context("copying the unit")?;
    Ok(copy)
}

fn matching(root: &Path, pattern: &str) -> anyhow::Result<Vec<PathBuf>> {
    let Some((folder, end)) = pattern.split_once('*') else {
        return Ok([root.join(pattern)].into_iter().filter(|path| path.is_file()).collect());
    };
    let folder = root.join(folder);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file());
    Ok(paths.filter(|path| path.to_string_lossy().ends_with(end)).collect())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn indented(output: &Output) -> String {
    let line = |line: &str| format!("      {line}\n");
    text(output).lines().map(line).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;

    /// A program stands in for a reader: what it says and how it ends is all that counts.
    #[test]
    fn a_reader_that_takes_everything_is_a_problem_and_so_is_one_that_takes_nothing() {
        let reader = |arguments: &'static [&'static str]| Reader {
            name: "stand-in",
            tool: &tools::SYSTEMD_ANALYZE,
            arguments,
            files: &["deploy/image/Dockerfile"],
            broken: ("Dockerfile", "no version"),
            needs: &[],
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let sh = Ready { program: "/bin/sh".into(), kustomize: None, schemas: None };
        let check = |arguments| reader(arguments).check(root, &sh).unwrap();
        let takes_all = check(&["-c", "exit 0"]);
        assert!(takes_all.len() == 1 && takes_all[0].contains("does not say"), "{takes_all:?}");
        let takes_none = check(&["-c", "echo 'no version'; exit 1"]);
        assert!(takes_none.len() == 1 && takes_none[0].contains("refuses deploy/image"), "{takes_none:?}");
        let judges = check(&["-c", "case $0 in *broken*) echo no version; exit 1;; *) exit 0;; esac", "{}"]);
        assert_eq!(judges, Vec::<String>::new());
    }
}
