//! Embeds every file of `page/`: writes a table of paths, bytes, content types, ETags and imports for `src/page.rs`, and
//! packs what packing makes smaller, once and as small as it gets.

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::Write as _,
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

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut table = String::from("&[\n");
    for (number, (path, file, content_type)) in named.iter().enumerate() {
        let bytes = fs::read(file)?;
        let digest = Sha256::digest(&bytes);
        let etag = digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let imports = if content_type.starts_with("text/javascript") {
            imports(path, &String::from_utf8_lossy(&bytes))
        } else {
            Vec::new()
        };
        let file = file.to_str().ok_or("the path of the page is not UTF-8")?;
        let [br, gzip] = [("br", brotli(&bytes)?), ("gz", gzip(&bytes)?)].map(|(ending, packed)| {
            let kept = (packed.len() < bytes.len()).then_some(packed)?;
            Some((out.join(format!("{number}.{ending}")), kept))
        });
        let packed = |packed: Option<(PathBuf, Vec<u8>)>| -> Result<String, Box<dyn Error>> {
            let Some((place, bytes)) = packed else { return Ok("None".to_owned()) };
            fs::write(&place, bytes)?;
            let place = place.to_str().ok_or("the path of the output is not UTF-8")?;
            Ok(format!("Some(include_bytes!({place:?}))"))
        };
        let (br, gzip) = (packed(br)?, packed(gzip)?);
        writeln!(
            table,
            "File {{ path: {path:?}, bytes: include_bytes!({file:?}), br: {br}, gzip: {gzip}, \
             content_type: {content_type:?}, etag: \"{etag}\", imports: &{imports:?} }},"
        )?;
    }
    table.push_str("]\n");
    fs::write(out.join("page_files.rs"), table)?;
    Ok(())
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut packed = Vec::new();
    let settings = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &settings)?;
    Ok(packed)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

/// What a module imports when it is loaded, as paths of the page. What it imports later, by `import()`, is not named.
fn imports(path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let statements = text
        .lines()
        .map(str::trim_start)
        .filter(|line| ["import ", "export ", "} from "].iter().any(|beginning| line.starts_with(beginning)));
    let targets = statements.filter_map(|line| {
        let (_, after) = line.split_once("from \"").or_else(|| line.split_once("import \""))?;
        let (target, _) = after.split_once('"')?;
        target.starts_with('.').then(|| resolve(folder, target))
    });
    targets.collect()
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
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
