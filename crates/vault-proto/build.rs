//! Generates the messages and services from proto/ with protox, so that no protoc is needed on the machine.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo runs this in the package's folder. A path from there is right in every clone that shares a target folder.
    let proto = Path::new("../../proto");
    let files =
        ["errors", "token_service", "audit_service", "admin_service"].map(|name| format!("tokenvault/v1/{name}.proto"));
    println!("cargo::rerun-if-changed={}", proto.display());
    let descriptors = protox::compile(files, [proto])?;
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::StrictCodec")
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
