//! `shadowtap man DIR`: the manual, a page for the program and one for each command.

use std::path::PathBuf;

use super::{Exit, Failure, command, output};

/// Write the manual pages
///
/// One for the program and one for each command; packages bring them along.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  shadowtap man man/ && man -l man/shadowtap-run.1\n  \
    shadowtap man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Folder to write them to, made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::unusable(format!("cannot write manual pages to {}", args.folder.display()))
            .because(error)
    };
    std::fs::create_dir_all(&args.folder).map_err(|error| cannot(&error))?;
    let mut whole = command::command();
    whole.build();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut pages: Vec<clap::Command> = commands.collect();
    pages.push(whole);
    let count = pages.len();
    for page in pages {
        let name = page.get_display_name().unwrap_or_else(|| page.get_name()).to_owned();
        let mut text = Vec::new();
        // Its own name is the page's title; "shadowtap run" is what is typed.
        let page = clap_mangen::Man::new(page).title(name.clone());
        page.render(&mut text).map_err(|error| cannot(&error))?;
        output::replace(&args.folder.join(format!("{name}.1")), &text)?;
    }
    output::print(&format!("{count} manual pages in {}\n", args.folder.display()))?;
    Ok(Exit::Done)
}
