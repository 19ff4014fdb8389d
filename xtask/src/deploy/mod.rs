//! `cargo xtask deploy`: every file of `deploy/` goes through the program that reads it in the end.
//!
//! A file that nothing reads breaks unseen. So each has a [`Reader`] in the table below, with its version, and each reader is
//! also shown a file of `xtask/broken/` that it must refuse, for the reason that was put there: a check that lets everything
//! pass is none. Readers are found or installed by [`tools`]; one that cannot be had is named, and its files are then not
//! checked. A file below `deploy/` that no reader knows is a fault too.

pub(crate) mod tools;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use crate::run::say;
use tools::Tool;

/// A program that reads files, and says no to what it cannot read.
struct Reader {
    /// How it is asked for on the command line.
    name: &'static str,
    tool: &'static Tool,
    /// Its arguments: `{}` is the file, `{folder}` an empty folder of its own.
    arguments: &'static [&'static str],
    /// Files of the repository; the last part may begin with `*`.
    files: &'static [&'static str],
    /// A file of `xtask/broken`, and what the reader must say about it.
    broken: (&'static str, &'static str),
    /// What the reader needs beside its arguments.
    needs: &'static [Need],
}

/// What a reader needs that is not like the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// A unit's program is not installed here; one that is stands in for it.
    AnotherProgram,
    /// It takes what it does not know and only says so: whatever it says is a refusal.
    Silence,
}

const READERS: &[Reader] = &[
    Reader {
        name: "yamllint",
        tool: &tools::YAMLLINT,
        arguments: &["--strict", "--config-file", "deploy/yamllint.yaml", "{}"],
        files: &[
            "deploy/compose/*.yaml",
            "deploy/envoy/*.yaml",
            "deploy/grafana/provisioning/dashboards/*.yaml",
            "deploy/grafana/provisioning/datasources/*.yaml",
            "deploy/prometheus/*.yml",
            "deploy/prometheus/rules/*.yml",
            "deploy/prometheus/tests/*.yml",
            "deploy/yamllint.yaml",
        ],
        broken: ("twice.yaml", "duplication of key"),
        needs: &[],
    },
    Reader {
        name: "hadolint",
        tool: &tools::HADOLINT,
        arguments: &["--failure-threshold", "info", "{}"],
        files: &["deploy/image/Dockerfile"],
        broken: ("Dockerfile", "DL3006"),
        needs: &[],
    },
    Reader {
        name: "compose",
        tool: &tools::COMPOSE,
        arguments: &["{}"],
        files: &["deploy/compose/*.yaml"],
        broken: ("compose.yaml", "restrat"),
        needs: &[],
    },
    Reader {
        name: "systemd",
        tool: &tools::SYSTEMD_ANALYZE,
        arguments: &["verify", "--man=no", "{}"],
        files: &["deploy/systemd/*.service"],
        broken: ("waypost.service", "ProtectSytem"),
        needs: &[Need::AnotherProgram, Need::Silence],
    },
    Reader {
        name: "systemd-security",
        tool: &tools::SYSTEMD_ANALYZE,
        // A tenth of the exposure that systemd prints: 1.5 of 10.
        arguments: &["security", "--offline=true", "--threshold=15", "--no-pager", "{}"],
        files: &["deploy/systemd/*.service"],
        broken: ("open.service", "UNSAFE"),
        needs: &[Need::AnotherProgram],
    },
    Reader {
        name: "prometheus",
        tool: &tools::PROMTOOL,
        arguments: &["check", "config", "{}"],
        files: &["deploy/prometheus/prometheus.yml"],
        broken: ("prometheus.yml", "no_such_rules.yml"),
        needs: &[],
    },
    Reader {
        name: "prometheus-rules",
        tool: &tools::PROMTOOL,
        arguments: &["check", "rules", "--lint-fatal", "{}"],
        files: &["deploy/prometheus/rules/*.yml"],
        broken: ("rules.yml", "parse error"),
        needs: &[],
    },
    Reader {
        name: "prometheus-alerts",
        tool: &tools::PROMTOOL,
        arguments: &["test", "rules", "{}"],
        files: &["deploy/prometheus/tests/*.yml"],
        broken: ("alerts.yml", "FAILED"),
        needs: &[],
    },
    Reader {
        name: "nginx",
        tool: &tools::NGINX,
        arguments: &["-t", "-p", "{folder}", "-c", "{}"],
        files: &["deploy/nginx/nginx.conf"],
        broken: ("nginx.conf", "unknown directive \"proxy_pas\""),
        needs: &[],
    },
    Reader {
        name: "haproxy",
        tool: &tools::HAPROXY,
        // A warning is an error.
        arguments: &["-c", "-dW", "-f", "{}"],
        files: &["deploy/haproxy/haproxy.cfg"],
        broken: ("haproxy.cfg", "unable to find required default_backend"),
        needs: &[],
    },
    Reader {
        name: "envoy",
        tool: &tools::ENVOY,
        arguments: &["--mode", "validate", "--use-dynamic-base-id", "--log-level", "error", "-c", "{}"],
        files: &["deploy/envoy/envoy.yaml"],
        broken: ("envoy.yaml", "conect_timeout"),
        needs: &[],
    },
];

/// Files that no program here reads: pages for people; a list of two words a line; dashboards, which a test compares with the
/// description that they are made from.
const UNREAD: [&str; 4] = [".md", ".dockerignore", ".sysusers", ".json"];

/// Checks with the readers of these names, or with all that can be had.
pub(crate) fn check(root: &Path, target: &Path, names: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = names.iter().find(|name| READERS.iter().all(|reader| reader.name != **name)) {
        let known: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
        bail!("there is no reader `{unknown}`; there are {}", known.join(", "));
    }
    let mut problems = nobodys(root)?;
    let mut left_out = Vec::new();
    for reader in READERS.iter().filter(|reader| names.is_empty() || names.iter().any(|n| n == reader.name)) {
        match tools::find(reader.tool, &target.join("deploy-tools")) {
            Ok(program) => {
                let found = reader.check(root, &program)?;
                if found.is_empty() {
                    let count = reader.places(root)?.len();
                    say(&format!("{}: {count} file(s) read, and the broken one refused\n", reader.name));
                }
                problems.extend(found);
            }
            Err(reason) => left_out.push(format!("{} ({}): {reason:#}", reader.name, reader.tool)),
        }
    }
    for line in &left_out {
        say(&format!("LEFT OUT, with its files: {line}\n"));
    }
    if !problems.is_empty() {
        bail!("{} problem(s) in deploy/:\n  {}", problems.len(), problems.join("\n  "));
    }
    if !names.is_empty() && !left_out.is_empty() {
        bail!("{} reader(s) that were asked for could not be had", left_out.len());
    }
    Ok(())
}

impl Reader {
    /// One sentence for each file that it refuses, and for the broken one if it takes that.
    fn check(&self, root: &Path, program: &Path) -> anyhow::Result<Vec<String>> {
        let mut problems = Vec::new();
        for place in self.places(root)? {
            let output = self.read(root, program, &place)?;
            if !self.takes(&output) {
                let place = place.strip_prefix(root).unwrap_or(&place).display();
                problems.push(format!("{} refuses {place}:\n{}", self.name, indented(&output)));
            }
        }
        let (file, complaint) = self.broken;
        let output = self.read(root, program, &root.join("xtask/broken").join(file))?;
        if self.takes(&output) || !text(&output).contains(complaint) {
            problems.push(format!(
                "{} does not say {complaint:?} of xtask/broken/{file} ({}):\n{}",
                self.name,
                output.status,
                indented(&output)
            ));
        }
        Ok(problems)
    }

    fn read(&self, root: &Path, program: &Path, file: &Path) -> anyhow::Result<Output> {
        let own = tempfile::tempdir().context("making a folder for the reader")?;
        let file = if self.needs.contains(&Need::AnotherProgram) {
            with_a_program(file, own.path())?
        } else {
            file.to_owned()
        };
        let argument = |argument: &&str| {
            argument
                .replace("{}", &file.display().to_string())
                .replace("{folder}", &own.path().display().to_string())
        };
        Command::new(program)
            .args(self.arguments.iter().map(argument))
            .current_dir(root)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {}", program.display()))
    }

    fn takes(&self, output: &Output) -> bool {
        output.status.success() && (!self.needs.contains(&Need::Silence) || text(output).is_empty())
    }

    /// The files that its patterns mean, sorted. A pattern that means none is a mistake.
    fn places(&self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
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

/// One sentence for each file below `deploy/` that no reader is given.
fn nobodys(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut read = BTreeSet::new();
    for reader in READERS {
        read.extend(reader.places(root)?);
    }
    let mut problems = Vec::new();
    let mut folders = vec![root.join("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry.with_context(|| format!("reading {}", folder.display()))?.path();
            let is_unread = UNREAD.iter().any(|end| path.to_string_lossy().ends_with(end));
            if path.is_dir() {
                folders.push(path);
            } else if !is_unread && !read.contains(&path) {
                let path = path.strip_prefix(root).unwrap_or(&path).display();
                problems.push(format!("{path} has no reader; give it one in xtask/src/deploy/mod.rs"));
            }
        }
    }
    Ok(problems)
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
    use super::*;

    #[test]
    fn every_file_of_deploy_has_a_reader_and_every_reader_a_broken_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert_eq!(nobodys(root).unwrap(), Vec::<String>::new());
        for reader in READERS {
            let (broken, complaint) = reader.broken;
            assert!(root.join("xtask/broken").join(broken).is_file(), "{broken}");
            assert!(!complaint.is_empty(), "{}", reader.name);
        }
    }

    /// An alert that nobody has seen fire, that fires always, or that leaves whoever it wakes alone with it, is none.
    #[test]
    fn every_alert_is_seen_to_fire_and_to_stay_silent_and_has_a_page() {
        use std::collections::BTreeMap;

        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let read = |file: &str| -> serde_json::Value {
            serde_saphyr::from_str(&fs::read_to_string(root.join("deploy/prometheus").join(file)).unwrap())
                .unwrap()
        };
        let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
        let rules = read("rules/alerts.yml");
        let rules: Vec<_> = list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])).collect();
        let mut seen: BTreeMap<String, (u32, u32)> = BTreeMap::new();
        for case in list(&read("tests/alerts.yml")["tests"]) {
            for test in list(&case["alert_rule_test"]) {
                let (fires, silent) = seen.entry(test["alertname"].as_str().unwrap().to_owned()).or_default();
                if list(&test["exp_alerts"]).is_empty() {
                    *silent += 1;
                } else {
                    *fires += 1;
                }
            }
        }
        assert!(rules.len() > 10, "{rules:?}");
        let index = fs::read_to_string(root.join("docs/runbooks/README.md")).unwrap();
        for rule in rules {
            let name = rule["alert"].as_str().unwrap();
            let (fires, silent) = seen.remove(name).unwrap_or_default();
            assert!(fires > 0 && silent > 0, "{name} fires in {fires} cases and is silent in {silent}");
            let page = rule["annotations"]["runbook_url"].as_str().unwrap();
            assert_eq!(page, format!("docs/runbooks/{name}.md"));
            assert!(root.join(page).is_file(), "{page}");
            assert!(index.contains(&format!("({name}.md)")), "{name} is not in docs/runbooks/README.md");
        }
        assert!(seen.is_empty(), "tests of alerts that there are not: {seen:?}");
    }

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
        let check = |arguments| reader(arguments).check(root, Path::new("/bin/sh")).unwrap();
        let takes_all = check(&["-c", "exit 0"]);
        assert!(takes_all.len() == 1 && takes_all[0].contains("does not say"), "{takes_all:?}");
        let takes_none = check(&["-c", "echo 'no version'; exit 1"]);
        assert!(takes_none.len() == 1 && takes_none[0].contains("refuses deploy/image"), "{takes_none:?}");
        let judges = check(&["-c", "case $0 in *broken*) echo no version; exit 1;; *) exit 0;; esac", "{}"]);
        assert_eq!(judges, Vec::<String>::new());
    }
}
