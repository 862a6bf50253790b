//! `pillarbox completions`: what a shell completes.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::output;

/// The end of `--help`.
pub(crate) const HELP: &str = "\
Examples:
  pillarbox completions bash > ~/.local/share/bash-completion/completions/pillarbox
  pillarbox completions zsh  > ~/.zfunc/_pillarbox
  pillarbox completions fish > ~/.config/fish/completions/pillarbox.fish";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(arguments: &Arguments, mut command: clap::Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "pillarbox", &mut script);
    let _ = output::bytes(&[&script])?;
    Ok(ExitCode::SUCCESS)
}
