//! `shadowtap man DIR`: the manual, a page for the program and one for each command.

use std::io;
use std::path::PathBuf;

use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{Exit, Failure, output};

/// Write the manual pages
///
/// One for the program and one for each command; packages bring them along.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  shadowtap man man/ && man -l man/shadowtap-run.1
  shadowtap man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Folder to write them to, made where it is missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(args: &ManArgs, whole: clap::Command) -> Result<Exit, Failure> {
    let cannot = |error: &dyn std::error::Error| {
        Failure::unusable(format!("cannot write manual pages to {}", args.folder.display()))
            .because(error)
    };
    std::fs::create_dir_all(&args.folder).map_err(|error| cannot(&error))?;
    let pages = pages(whole);
    let count = pages.len();
    for (name, command) in pages {
        let text = page(command, &name).map_err(|error| cannot(&error))?;
        output::replace(&args.folder.join(format!("{name}.1")), &text)?;
    }
    output::print(&format!("{count} manual pages in {}\n", args.folder.display()))?;
    Ok(Exit::Done)
}

/// The program and its commands, those inside of others too, by the names of their pages.
fn pages(whole: clap::Command) -> Vec<(String, clap::Command)> {
    fn gather(command: &clap::Command, pages: &mut Vec<(String, clap::Command)>) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        pages.push((name, command.clone()));
        let inside = command.get_subcommands().filter(|inside| !inside.is_hide_set());
        inside.for_each(|inside| gather(inside, pages));
    }
    let mut whole = whole.disable_help_subcommand(true);
    whole.build();
    let mut pages = Vec::new();
    gather(&whole, &mut pages);
    pages
}

/// What `--help` says as a page for man, with the examples as they are typed.
fn page(command: clap::Command, name: &str) -> io::Result<Vec<u8>> {
    // Flags that the short help leaves out have no text here else.
    let mut command = command.mut_args(|argument| argument.hide_short_help(false));
    let usage = command.render_usage().to_string();
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let has_parts = command.get_subcommands().any(|inside| !inside.is_hide_set());
    let man =
        Man::new(command).title(name).source(concat!("shadowtap ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    literally("SYNOPSIS", usage.trim_start_matches("Usage: ").lines()).to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    if has_parts {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    for (heading, lines) in sections(&after) {
        let lines = lines.iter().map(|line| line.strip_prefix("  ").unwrap_or(line));
        let section = match heading.starts_with("EXAMPLE") || heading == "EXIT CODES" {
            true => literally(&heading, lines),
            false => filled(&heading, lines),
        };
        section.to_writer(&mut text)?;
    }
    Ok(text)
}

/// What stands behind the flags in a help, by its headings: `Examples:` and what is below it; what
/// has no heading are notes.
fn sections(after: &str) -> Vec<(String, Vec<&str>)> {
    let mut sections: Vec<(String, Vec<&str>)> = Vec::new();
    for line in after.lines().filter(|line| !line.is_empty()) {
        let is_below = line.starts_with(' ');
        let heading = match line.strip_suffix(':').filter(|_| !is_below) {
            Some(heading) => heading.to_ascii_uppercase(),
            None => "NOTES".to_owned(),
        };
        match sections.last_mut() {
            Some((_, lines)) if is_below => lines.push(line),
            Some((last, lines)) if heading == "NOTES" && *last == heading => lines.push(line),
            _ if heading == "NOTES" => sections.push((heading, vec![line])),
            _ => sections.push((heading, Vec::new())),
        }
    }
    sections
}

fn literally<'l>(heading: &str, lines: impl Iterator<Item = &'l str>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]).control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff
}

fn filled<'l>(heading: &str, lines: impl Iterator<Item = &'l str>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]).text([roman(lines.collect::<Vec<_>>().join("\n"))]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::command;

    /// A page without what man reads as signs of its own.
    fn plain(command: clap::Command, name: &str) -> String {
        let text =
            String::from_utf8(page(command, name).expect("memory is written")).expect("text");
        text.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\\\", "\\")
    }

    #[test]
    fn every_flag_has_its_words_and_every_page_that_is_named_is_there() {
        let pages = pages(command());
        let names: Vec<String> = pages.iter().map(|(name, _)| format!("{name}(1)")).collect();
        assert!(names.iter().any(|name| name == "shadowtap-demo-serve(1)"), "{names:?}");
        for (name, command) in pages {
            let text = plain(command.clone(), &name);
            for help in command.get_arguments().filter_map(clap::Arg::get_help) {
                let help = help.to_string();
                let begins = help.split(['\n', '\'', '`']).next().unwrap_or_default();
                assert!(text.contains(begins), "{name} lacks {begins:?}");
            }
            let named = text.split(['\n', ' ']).filter(|word| word.ends_with("(1)"));
            for page in named.map(|word| word.trim_start_matches("\\fR").to_owned()) {
                assert!(names.contains(&page), "{name} names {page:?}");
            }
        }
    }

    #[test]
    fn examples_stand_as_they_are_typed() {
        let (name, run) =
            pages(command()).into_iter().find(|(name, _)| name == "shadowtap-run").expect("a page");
        let text = plain(run, &name);
        let example = ".SH EXAMPLES\n.nf\nshadowtap run v1.pcap --target";
        assert!(text.contains(example), "{text}");
        assert!(
            text.contains(" \\\n    --wait-ready http"),
            "lines go on as shells have it: {text}"
        );
        assert!(text.contains(".SH SYNOPSIS\n.nf\nshadowtap run [OPTIONS] <INPUT>..."), "{text}");
    }

    #[test]
    fn what_has_no_heading_is_a_note() {
        let found = sections("Example:\n  a b\n\nIt does\nmore.\n\nExit codes:\n  0  x\n");
        let expected = [
            ("EXAMPLE".to_owned(), vec!["  a b"]),
            ("NOTES".to_owned(), vec!["It does", "more."]),
            ("EXIT CODES".to_owned(), vec!["  0  x"]),
        ];
        assert_eq!(found, expected);
    }
}
