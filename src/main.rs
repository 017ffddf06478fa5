//! The program: calls `cli`, turns its answer into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    shadowtap::cli::main(std::env::args_os()).into()
}
