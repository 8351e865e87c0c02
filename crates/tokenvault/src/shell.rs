//! `tokenvault completions` and `tokenvault man`: the command line as shells and manual readers know it, made from the
//! same definitions that parse it.

use std::{fs, io::Write, path::PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    arguments::Arguments,
    exit::{Exit, Failure},
    output,
};

/// Which shell.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell that shall read it
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Prints the script that teaches a shell the program's commands and flags.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "tokenvault", &mut script);
    let mut out = output::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Done)
}

/// Where manual pages go.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ManArguments {
    /// The folder for the pages, one for each command; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Writes the manual pages.
pub(crate) fn man(arguments: &ManArguments) -> Result<Exit, Failure> {
    fs::create_dir_all(&arguments.out).map_err(|error| Failure::file(&arguments.out, error))?;
    let mut command = Arguments::command();
    command.build();
    let mut written = 0;
    pages(command, &mut |page| {
        written += 1;
        page.generate_to(&arguments.out).map(drop)
    })
    .map_err(|error| Failure::file(&arguments.out, error))?;
    output::note(&format!("{written} pages in {0}; man -l {0}/tokenvault.1 shows the first", arguments.out.display()));
    Ok(Exit::Done)
}

/// Hands over the page of a command, and of each that stands under it.
fn pages(command: clap::Command, write: &mut impl FnMut(Man) -> std::io::Result<()>) -> std::io::Result<()> {
    for under in command.get_subcommands().filter(|under| !under.is_hide_set()) {
        pages(under.clone(), write)?;
    }
    let source = concat!("tokenvault ", env!("CARGO_PKG_VERSION"));
    write(Man::new(command).source(source).manual("Tokenvault"))
}
