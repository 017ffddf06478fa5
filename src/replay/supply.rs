//! Runs the commands of `[[flow.supply]]` before a replay: each gives one value, for a session that
//! is older than the capture or a password that was redacted.
//!
//! What a command is told comes from a capture, so it never becomes part of the command's text: it
//! is in variables of the environment, which the shell does not read as commands.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::plan::Plan;
use super::task::ReplayStop;
use crate::bind::config::{Supplier, SupplyRule};
use crate::bind::fill::touch::Wanted;
use crate::time::Monotonic;

/// Longest time that one command may take.
const COMMAND: Duration = Duration::from_secs(30);
/// Commands that run at the same time.
const AT_ONCE: usize = 4;
/// How often it is looked whether one has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Longest value, in bytes.
const VALUE_BYTES: u64 = 64 << 10;

/// Why a value was not supplied.
#[derive(Debug, thiserror::Error)]
#[error("{rule}: {command}: {why}")]
pub struct SupplyError {
    rule: String,
    command: String,
    why: String,
}

/// Runs a command for each value that the plan's requests want. The first that fails ends it.
pub fn supply(plan: &mut Plan, stop: &ReplayStop) -> Result<usize, SupplyError> {
    let Some(bound) = &mut plan.bound else { return Ok(0) };
    let wanted = std::mem::take(&mut bound.wanted);
    let rules: Vec<SupplyRule> = bound.touches.suppliers().cloned().collect();
    let wanted: Vec<Wanted> = wanted
        .into_iter()
        .filter(|wanted| matches!(rules[wanted.rule].by, Supplier::Command(_)))
        .collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(wanted.len()) {
            scope.spawn(|| {
                while let Some(wanted) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let value = of_command(&rules[wanted.rule], wanted, stop);
                    if value.is_err() {
                        next.store(usize::MAX / 2, Ordering::Relaxed);
                    }
                    results.lock().expect("no holder panics").push((wanted.clone(), value));
                }
            });
        }
    });
    let results = results.into_inner().expect("no holder panicked");
    let count = results.len();
    if let Some(touches) = std::sync::Arc::get_mut(&mut bound.touches) {
        for (wanted, value) in results {
            touches.supply(wanted, value?);
        }
    }
    Ok(count)
}

fn of_command(
    rule: &SupplyRule,
    wanted: &Wanted,
    stop: &ReplayStop,
) -> Result<String, SupplyError> {
    let Supplier::Command(text) = &rule.by else { return Ok(String::new()) };
    let failed = |why: String| SupplyError { rule: rule.to_string(), command: text.clone(), why };
    if text.contains("{user}") && wanted.user.is_none() {
        return Err(failed(
            "a request does not say who its user is: use {value}, or a file".into(),
        ));
    }
    let shell =
        text.replace("{value}", "\"$SHADOWTAP_VALUE\"").replace("{user}", "\"$SHADOWTAP_USER\"");
    let child = Command::new("/bin/sh")
        .args(["-c", &shell])
        .env("SHADOWTAP_VALUE", &wanted.recorded)
        .env("SHADOWTAP_USER", wanted.user.as_deref().unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| failed(error.to_string()))?;
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let ended = wait(&mut child, stop);
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let ended = match ended {
        Some(ended) => ended.map_err(|error| failed(error.to_string()))?,
        None => return Err(failed(format!("did not end within {COMMAND:?}"))),
    };
    let (value, said) = (text_of(out), text_of(err));
    if !ended.success() {
        let said = said.lines().next().unwrap_or_default().to_owned();
        return Err(failed(format!("{ended}: {said}")));
    }
    match value.trim_end_matches(['\r', '\n']) {
        "" => Err(failed("printed nothing: the value is its standard output".into())),
        value => Ok(value.to_owned()),
    }
}

/// How a command ended; none where it takes too long or the replay was stopped.
fn wait(child: &mut Child, stop: &ReplayStop) -> Option<std::io::Result<std::process::ExitStatus>> {
    let began = Monotonic::now();
    while began.elapsed() < COMMAND.as_nanos() as i64 && !stop.is_set() {
        match child.try_wait() {
            Ok(Some(ended)) => return Some(Ok(ended)),
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => return Some(Err(error)),
        }
    }
    None
}

type SupplyReading = Option<std::thread::JoinHandle<String>>;

/// Reads what a command says, so that it never waits for its reader.
fn reader<R: std::io::Read + Send + 'static>(pipe: Option<R>) -> SupplyReading {
    let mut pipe = pipe?;
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.by_ref().take(VALUE_BYTES).read_to_end(&mut bytes);
        let _ = std::io::copy(&mut pipe, &mut std::io::sink());
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}

fn text_of(reading: SupplyReading) -> String {
    reading.and_then(|reading| reading.join().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(command: &str, recorded: &str, user: Option<&str>) -> Result<String, String> {
        let text = format!("place = \"cookie:s\"\ncommand = {command:?}");
        let rule: SupplyRule = toml::from_str(&text).unwrap();
        let user = user.map(str::to_owned);
        let wanted = Wanted { rule: 0, recorded: recorded.to_owned(), user };
        of_command(&rule, &wanted, &ReplayStop::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_commands_output_is_the_value() {
        assert_eq!(value("echo of-{user}", "r", Some("ann")), Ok("of-ann".to_owned()));
        let hostile = "$(echo x); `id` \"' ";
        assert_eq!(value("printf '%s!' {value}", hostile, None), Ok(format!("{hostile}!")));
    }

    #[test]
    fn a_command_that_fails_says_so() {
        let failed = |command| value(command, "r", None).unwrap_err();
        assert!(failed("echo no such user >&2; exit 3").contains("no such user"));
        assert!(failed("true").contains("printed nothing"));
        assert!(failed("echo {user}").contains("who its user is"));
    }
}
