//! `pillarbox man`: the manual pages, made of the same text as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::failure::{Failure, Kind};
use crate::output;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Examples:
  pillarbox man | man -l -
  pillarbox man ~/.local/share/man/man1";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to write one page for each verb
    directory: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, command: clap::Command) -> Result<ExitCode, Failure> {
    match &arguments.directory {
        Some(directory) => {
            clap_mangen::generate_to(command, directory).map_err(|error| {
                let shown = directory.display();
                Failure::new(Kind::Usage, format!("the pages cannot be written into {shown}"))
                    .because(error)
            })?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command)
                .render(&mut page)
                .map_err(|error| Failure::system("the page cannot be made", error))?;
            let _ = output::bytes(&[&page])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
