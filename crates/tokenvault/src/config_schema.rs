//! `tokenvault config schema`: what configurations and catalogs may hold, for editors and other programs.

use std::io::Write;

use clap::ValueEnum;

use crate::{
    exit::{Exit, Failure},
    output,
};

/// A file that there is a schema of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    /// The configuration, vault.toml
    Configuration,
    /// The catalog, catalog.toml
    Catalog,
}

/// Which schema.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SchemaArguments {
    /// Of which file
    #[arg(value_enum, value_name = "FILE", default_value_t = Document::Configuration)]
    pub(crate) document: Document,
}

pub(crate) fn run(arguments: &SchemaArguments) -> Result<Exit, Failure> {
    let schema = match arguments.document {
        Document::Configuration => vault_server::configuration_schema(),
        Document::Catalog => vault_catalog::catalog_schema(),
    };
    let mut out = output::stdout();
    writeln!(out, "{schema:#}")?;
    out.flush()?;
    Ok(Exit::Done)
}
