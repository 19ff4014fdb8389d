//! `cargo xtask dashboards`: writes the dashboards of Grafana from a description that people can read.
//!
//! The JSON of a dashboard is a thousand lines of which ten are ours. What is ours stands in [`catalogue`]; [`json`] makes the rest.
//! The files are checked in, and a test keeps them in step with this. Whether each query has an answer is not known here:
//! only a Prometheus that scrapes a shop can say.

mod catalogue;
mod json;

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::run::say;

/// Where the files are, from the root of the repository.
const FOLDER: &str = "deploy/grafana/dashboards";

/// A page of panels.
pub(crate) struct Dashboard {
    /// Names its file and its address.
    uid: &'static str,
    title: &'static str,
    /// What it is for, in a sentence.
    purpose: &'static str,
    /// Whether it is about the services that are chosen at the top (`$service`).
    by_service: bool,
    rows: &'static [Row],
}

/// Panels below a heading.
pub(crate) struct Row {
    title: &'static str,
    panels: &'static [Panel],
}

/// One chart.
pub(crate) struct Panel {
    title: &'static str,
    /// How to read it; shown behind an "i".
    note: &'static str,
    kind: Kind,
    unit: Unit,
    /// Each with the text of its legend.
    queries: &'static [(&'static str, &'static str)],
}

/// How numbers are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lines over time.
    Lines,
    /// Areas over time, one upon the other.
    Stack,
    /// The newest number, large.
    Number,
    /// The newest numbers side by side.
    Bars,
}

/// What numbers count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    PerSecond,
    Seconds,
    Bytes,
    Share,
}

/// Writes every dashboard.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    for dashboard in catalogue::DASHBOARDS {
        let place = folder.join(format!("{}.json", dashboard.uid));
        fs::write(&place, json::text(dashboard)?).with_context(|| format!("writing {}", place.display()))?;
    }
    say(&format!("wrote {} dashboards into {FOLDER}\n", catalogue::DASHBOARDS.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_files_are_what_the_catalogue_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(FOLDER);
        let files: BTreeSet<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let named: BTreeSet<String> =
            catalogue::DASHBOARDS.iter().map(|dashboard| format!("{}.json", dashboard.uid)).collect();
        assert_eq!(files, named);
        for dashboard in catalogue::DASHBOARDS {
            let file = fs::read_to_string(folder.join(format!("{}.json", dashboard.uid))).unwrap();
            assert!(
                file == json::text(dashboard).unwrap(),
                "{}: run `cargo xtask dashboards`",
                dashboard.uid
            );
        }
    }

    #[test]
    fn every_panel_says_how_to_read_it_and_asks_something() {
        for dashboard in catalogue::DASHBOARDS {
            for panel in dashboard.rows.iter().flat_map(|row| row.panels) {
                let name = format!("{}: {}", dashboard.uid, panel.title);
                assert!(!panel.note.is_empty() && !panel.queries.is_empty(), "{name}");
                for (query, _) in panel.queries {
                    assert_eq!(query.contains("$service"), dashboard.by_service, "{name}: {query}");
                }
            }
        }
    }
}
