//! Whether the bill of materials follows the schema of CycloneDX: asked of the schema's own library, which is also shown a bill
//! that it must refuse.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::deploy::tools;
use crate::needs::output;

/// Ends with a sentence when the file that is its argument breaks the schema.
const SCRIPT: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
with open(sys.argv[1]) as bill:
    problem = JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill.read())
sys.exit(str(problem).splitlines()[0] if problem else 0)
";

/// Checks the bill. `Ok(false)` when the library cannot be had below `folder`.
pub(super) fn check(bill: &Path, folder: &Path) -> anyhow::Result<bool> {
    let Ok(python) = tools::find(&tools::CYCLONEDX, folder) else { return Ok(false) };
    let asked = |file: &Path| output(Command::new(&python).args(["-c", SCRIPT]).arg(file));
    asked(bill).with_context(|| format!("{} is no bill of materials of CycloneDX 1.5", bill.display()))?;

    let text = fs::read_to_string(bill).with_context(|| format!("reading {}", bill.display()))?;
    let mut broken: Value = serde_json::from_str(&text).context("reading the bill of materials")?;
    *broken.pointer_mut("/metadata/component/type").context("the bill has no component")? = "shop".into();
    let place = tempfile::NamedTempFile::new().context("making a file")?;
    fs::write(place.path(), broken.to_string()).context("writing a broken bill")?;
    match asked(place.path()) {
        Err(refusal) if refusal.to_string().contains("'shop' is not one of") => Ok(true),
        Err(other) => Err(other).context("the broken bill was refused for another reason"),
        Ok(_) => bail!("a bill with a component of an unknown type was taken"),
    }
}
