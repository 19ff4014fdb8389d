//! `waypost config`: shows the configuration in effect, checks it, or documents every setting.

use waypost_settings::{FieldDoc, Origin, commented_toml, markdown_table};

use waypost_telemetry::config::environment_table;

use crate::cli::{ConfigAction, ConfigArgs, SettingFlags};
use crate::console::say;
use crate::exit::{Exit, Failure};
use crate::roles::Role;
use crate::settings::{Effective, Environment, PREFIX, Profile, Settings, load};
use std::path::Path;

/// Says how to read the documented file.
const DOCS_HEAD: &str = "\
# Waypost's settings. A value behind a # is the default; to change it, take the # away, there and at the
# [section] above it.
# Read from ./waypost.toml, or from the file that --config or WAYPOST_CONFIG names. The environment
# (WAYPOST_SECTION__KEY) and flags win over this file. `waypost config check` names its problems.
# `waypost up` has some defaults of its own (`waypost config print --up`, docs/operations.md).
";

/// Runs `waypost config`.
pub(crate) fn config(
    args: &ConfigArgs,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Exit, Failure> {
    match &args.action {
        ConfigAction::Print { settings, up } => {
            say(printed(&effective(*up, settings, file, environment)?).trim_end());
        }
        ConfigAction::Check { settings, up } => {
            // A file is often shared by processes with a role each, so as if all of them ran.
            effective(*up, settings, file, environment)?.check_exposure(&Role::ALL)?;
            say("the configuration has no problems");
        }
        ConfigAction::Docs { markdown: false } => say(documented().trim_end()),
        ConfigAction::Docs { markdown: true } => say(reference().trim_end()),
    }
    Ok(Exit::Done)
}

fn effective(
    up: bool,
    flags: &SettingFlags,
    file: Option<&Path>,
    environment: &Environment,
) -> Result<Effective, Failure> {
    let profile = if up { Profile::Up } else { Profile::Run };
    load(profile, file, environment, flags.flags())
}

/// Every setting, and every standard variable, in tables.
fn reference() -> String {
    let standard = environment_table();
    format!(
        "{}\nStandard variables, for `[telemetry]`:\n\n{standard}",
        markdown_table(&Settings::documented(), PREFIX)
    )
}

/// Every setting below its description, each value and section behind a `#`: a file that was written by this and
/// never edited changes nothing, for `up` and `run` alike, which differ in some defaults.
fn documented() -> String {
    let is_value = |line: &str| !line.is_empty() && !line.starts_with('#');
    let toml = commented_toml(&Settings::documented());
    let lines = toml.trim_start().lines();
    let lines = lines.map(|line| if is_value(line) { format!("#{line}\n") } else { format!("{line}\n") });
    format!("{DOCS_HEAD}\n{}", lines.collect::<String>())
}

/// The configuration as a file; above each value that is not a default stands where it comes from.
fn printed(effective: &Effective) -> String {
    let source = |field: FieldDoc| {
        let origin = if field.is_section { Origin::Default } else { effective.origin(&field.key) };
        let doc = if origin == Origin::Default { String::new() } else { format!("from {origin}") };
        FieldDoc { doc, ..field }
    };
    let fields: Vec<FieldDoc> = effective.settings.documented_values().into_iter().map(source).collect();
    commented_toml(&fields)
}
