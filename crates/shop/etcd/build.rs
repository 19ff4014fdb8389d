//! Generates the client of the part of etcd's interface that is used, with no system `protoc`.

use std::{error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let files = protox::compile(["etcd.proto"], [&root])?;
    tonic_prost_build::configure()
        .build_server(false)
        // A password must not reach a log by `{:?}`.
        .skip_debug(["etcdserverpb.AuthenticateRequest"])
        .compile_fds(files)?;
    Ok(())
}
