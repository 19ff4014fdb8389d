//! Where the browser's programs are.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

/// Chromium and its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserPrograms {
    /// Chromium or Chrome.
    pub chromium: PathBuf,
    /// `chromedriver` of the same version.
    pub chromedriver: PathBuf,
}

impl BrowserPrograms {
    /// From the variables `TEST_CHROMIUM` and `TEST_CHROMEDRIVER`, which `cargo xtask test` sets, else from the path.
    pub(super) fn find() -> Option<BrowserPrograms> {
        let folders: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
        Self::find_in(&|name| std::env::var_os(name), &folders)
    }

    fn find_in(variable: &dyn Fn(&str) -> Option<OsString>, folders: &[PathBuf]) -> Option<BrowserPrograms> {
        let on_path = |names: &[&str]| {
            let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
            places.into_iter().find(|place| place.is_file())
        };
        let program = |name: &str, names: &[&str]| {
            let set = variable(name).filter(|value| !value.is_empty());
            set.map(PathBuf::from).or_else(|| on_path(names))
        };
        let chromium = program(
            "TEST_CHROMIUM",
            &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
        )?;
        let chromedriver = program("TEST_CHROMEDRIVER", &["chromedriver"])?;
        Some(BrowserPrograms { chromium, chromedriver })
    }
}

/// Says that a test did not run because this machine lacks something. Straight to standard error, where it is seen
/// although the test passes.
pub fn left_out(what: &str, why: &str) {
    // Nobody to tell when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "left out: {what}: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_goes_before_the_path_and_both_programs_are_needed() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [PathBuf::from("/nowhere"), folder.path().to_owned()];
        let unset = |_: &str| None;
        let find = |variable: &dyn Fn(&str) -> Option<OsString>| BrowserPrograms::find_in(variable, &folders);
        assert_eq!(find(&unset), None);

        std::fs::write(folder.path().join("google-chrome"), "").unwrap();
        assert_eq!(find(&unset), None, "no driver");

        std::fs::write(folder.path().join("chromedriver"), "").unwrap();
        let chromedriver = folder.path().join("chromedriver");
        let chromium = folder.path().join("google-chrome");
        let expected = BrowserPrograms { chromium, chromedriver: chromedriver.clone() };
        assert_eq!(find(&unset), Some(expected));

        let set = |name: &str| (name == "TEST_CHROMIUM").then(|| OsString::from("/opt/chromium"));
        assert_eq!(find(&set), Some(BrowserPrograms { chromium: "/opt/chromium".into(), chromedriver }));
    }
}
