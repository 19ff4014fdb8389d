//! Generates the code of both contracts; protox stands in for `protoc`.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["shop.proto"], ["proto"])?;
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(folder.join("shop.bin"), descriptors.encode_to_vec())?;
    Ok(tonic_prost_build::configure().compile_fds(descriptors)?)
}
