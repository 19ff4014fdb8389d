//! Generates the protobuf messages, typed clients and server traits from `/proto`, with no system `protoc`.

use std::{error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 5] = [
    "waypost/inventory/v1/inventory.proto",
    "waypost/money/v1/money.proto",
    "waypost/order/v1/order.proto",
    "waypost/payment/v1/payment.proto",
    "waypost/user/v1/user.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../../proto");
    println!("cargo::rerun-if-changed={}", root.display());

    let files = protox::compile(PROTOS, [&root])?;
    let descriptor_path = PathBuf::from(std::env::var("OUT_DIR")?).join("waypost_descriptor.bin");
    fs::write(descriptor_path, files.encode_to_vec())?;

    tonic_prost_build::configure()
        // A password must not reach a log by `{:?}`; `generated.rs` writes this Debug by hand.
        .skip_debug(["waypost.user.v1.AuthenticateRequest"])
        .compile_fds(files)?;
    Ok(())
}
