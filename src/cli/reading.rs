//! How inputs are read: flags of every command that reads some.

use super::{Failure, args};
use crate::source::InputOptions;

/// How captures are read, of every command that reads some.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Input")]
pub struct ReadingFlags {
    /// Only connections of this server port (repeat for more)
    #[arg(long, value_name = "N")]
    pub port: Vec<u16>,
    /// Threads that work [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// What they need beside
    #[command(flatten)]
    pub beside: Beside,
}

/// What captures need beside themselves, of every command that reads some.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Input")]
pub struct Beside {
    /// Secrets of TLS connections: a key log as SSLKEYLOGFILE gives it, read on while it grows
    /// (repeat for more; pcapng files may hold secrets themselves)
    #[arg(long, value_name = "FILE")]
    pub keylog: Vec<std::path::PathBuf>,
    /// Move the times of an input, where clocks of nodes differ: FILE=3ms or FILE=-3ms (repeat for
    /// more)
    #[arg(long, value_name = "FILE=D", value_parser = offset)]
    pub offset: Vec<(String, i64)>,
}

impl ReadingFlags {
    /// The checked form.
    pub(crate) fn options(&self) -> InputOptions {
        let mut options = self.beside.options();
        options.parse.ports.clone_from(&self.port);
        if let Some(threads) = self.threads {
            options.parse.threads = usize::from(threads);
        }
        options
    }
}

impl Beside {
    /// The checked form.
    pub(crate) fn options(&self) -> InputOptions {
        let mut options = InputOptions::default();
        options.parse.keylogs.clone_from(&self.keylog);
        options.offsets = self.offset.iter().cloned().collect();
        options
    }

    /// With what `[replay]` of the file says where no flag does.
    pub(crate) fn or(
        self,
        keylog: &[std::path::PathBuf],
        offsets: &[String],
    ) -> Result<Self, Failure> {
        let read = |text: &String| {
            offset(text).map_err(|why| Failure::usage(format!("[replay] offset: {why}")))
        };
        Ok(Self {
            keylog: if self.keylog.is_empty() { keylog.to_vec() } else { self.keylog },
            offset: match self.offset.is_empty() {
                true => offsets.iter().map(read).collect::<Result<_, _>>()?,
                false => self.offset,
            },
        })
    }
}

fn offset(text: &str) -> Result<(String, i64), String> {
    let wrong = || format!("{text:?} is not FILE=DURATION: write for example node2.pcap=-3ms");
    let (name, duration) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (sign, duration) = match duration.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, duration.strip_prefix('+').unwrap_or(duration)),
    };
    args::duration_ns(duration).map(|nanos| (name.to_owned(), sign * nanos)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_have_a_sign_and_a_unit() {
        assert_eq!(offset("a=b.pcap=-3ms"), Ok(("a=b.pcap".to_owned(), -3_000_000)));
        assert_eq!(offset("a.pcap=+2s"), Ok(("a.pcap".to_owned(), 2_000_000_000)));
        assert!(offset("a.pcap").is_err() && offset("a.pcap=soon").is_err());
    }
}
