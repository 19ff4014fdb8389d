//! Embeds every file of `page/`: writes a table of paths, bytes, content types and ETags for `src/page.rs`.

use sha2::{Digest as _, Sha256};
use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Endings that are embedded. Anything else in the folder (notes, tests' data) stays out of the binary.
const CONTENT_TYPES: [(&str, &str); 9] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("page");
    // A folder is watched with everything below it.
    println!("cargo::rerun-if-changed={}", folder.display());

    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    let mut named = Vec::new();
    for file in files {
        let path = file.strip_prefix(&folder)?.to_str().ok_or("a file name is not UTF-8")?.replace('\\', "/");
        if let Some(content_type) = content_type(&path) {
            named.push((path, file, content_type));
        }
    }
    named.sort();

    let mut table = String::from("&[\n");
    for (path, file, content_type) in named {
        let digest = Sha256::digest(fs::read(&file)?);
        let etag = digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let file = file.to_str().ok_or("the path of the page is not UTF-8")?;
        writeln!(
            table,
            "File {{ path: {path:?}, bytes: include_bytes!({file:?}), content_type: {content_type:?}, \
             etag: \"\\\"{etag}\\\"\" }},"
        )?;
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("page_files.rs"), table)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// `None` for what is not served: other endings, and the page's own tests (`*.test.js`).
fn content_type(path: &str) -> Option<&'static str> {
    let (stem, ending) = path.rsplit_once('.')?;
    if stem.rsplit_once('.').is_some_and(|(_, inner)| inner == "test") {
        return None;
    }
    CONTENT_TYPES.iter().find(|(known, _)| *known == ending).map(|(_, content_type)| *content_type)
}
