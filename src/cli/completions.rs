//! `shadowtap completions SHELL`: what a shell needs to complete commands, flags and files.

use clap_complete::Shell;

use super::{Exit, Failure, output};

/// Print the completions of a shell
///
/// They are for the shell's own folder of completions; packages bring them along.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap completions bash \\
      > ~/.local/share/bash-completion/completions/shadowtap
  # with fpath+=~/.zfunc before compinit:
  shadowtap completions zsh > ~/.zfunc/_shadowtap
  shadowtap completions fish > ~/.config/fish/completions/shadowtap.fish")]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut whole: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut whole, "shadowtap", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
