//! `shadowtap completions SHELL`: what a shell needs to complete commands, flags and files.

use clap::ValueHint;
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
    let script = String::from_utf8_lossy(&script);
    match args.shell {
        Shell::Bash => output::print(&with_files(&script, &whole))?,
        _ => output::print(&script)?,
    }
    Ok(Exit::Done)
}

/// bash offers flags where a file stands; where the script offers nothing, the shell offers files.
fn with_files(script: &str, whole: &clap::Command) -> String {
    const SECOND: &str = "if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then";
    const FLAGS: &str =
        "            esac\n            COMPREPLY=( $(compgen -W \"${opts}\" -- \"${cur}\") )\n";
    const BEGINS: &str = "        shadowtap__subcmd__";
    let takes_files = |name: &str| {
        let command = whole.get_subcommands().find(|command| command.get_name() == name);
        command.is_some_and(|command| {
            command.get_positionals().any(|argument| {
                let hint = argument.get_value_hint();
                matches!(hint, ValueHint::FilePath | ValueHint::DirPath | ValueHint::AnyPath)
            })
        })
    };
    let mut parts = script.split(BEGINS);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        let name = part.split(')').next().unwrap_or_default();
        let part = match takes_files(name) {
            true => part.replacen(SECOND, "if [[ ${cur} == -* ]] ; then", 1).replacen(
                FLAGS,
                "            esac\n            COMPREPLY=()\n",
                1,
            ),
            false => part.to_owned(),
        };
        out + BEGINS + &part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_offers_files_where_a_command_takes_them() {
        let mut whole = crate::cli::command::command();
        let mut script = Vec::new();
        clap_complete::generate(Shell::Bash, &mut whole, "shadowtap", &mut script);
        let script = with_files(&String::from_utf8_lossy(&script), &whole);
        let block = |name: &str| {
            let begin = script.find(&format!("        shadowtap__subcmd__{name})")).expect(name);
            script[begin..].split(";;\n        shadowtap__").next().expect("a block").to_owned()
        };
        for name in ["inspect", "parse", "run", "show", "diff", "export"] {
            assert!(
                !block(name).contains("-eq 2")
                    && block(name).contains("COMPREPLY=()\n            return"),
                "{name}"
            );
        }
        assert!(block("completions").contains("-eq 2"));
    }
}
