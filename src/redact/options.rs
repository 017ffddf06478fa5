//! Passwords of command lines and of protocols that are lines: `sshpass -p VALUE`, `PASS VALUE`.

use std::ops::Range;

use super::words::{ends, quoted};

/// Options that a password follows, of the commands that must stand before them in the line.
const PASSWORDS: [(&[u8], &[&[u8]]); 4] = [
    (b" -p ", &[b"sshpass", b" login ", b"mongo", b"smbmap"]),
    (b" -p", &[b"mysql", b"mariadb", b"7z "]),
    (b" -a ", &[b"redis-cli"]),
    (b" -w ", &[b"ldapsearch", b"ldapmodify", b"ldapadd", b"ldapwhoami", b"ldappasswd"]),
];
/// Bytes before an option in which its command stands.
const COMMAND_BYTES: usize = 128;

/// The password behind an option, which ends at `from`, of a command that takes one so:
/// `sshpass -p VALUE`, `mysql -u joe -pVALUE`. Numbers are ports.
pub(super) fn of_command(text: &[u8], from: usize) -> Option<Range<usize>> {
    let is_one = PASSWORDS.iter().any(|(option, commands)| {
        text[..from].ends_with(option) && {
            let before = &text[from.saturating_sub(COMMAND_BYTES)..from];
            let line = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
            crate::steps::add(before.len());
            commands.iter().any(|name| memchr::memmem::find(&before[line..], name).is_some())
        }
    });
    if !is_one {
        return None;
    }
    let value = match quoted(text, from) {
        Some(quoted) => quoted,
        None => {
            let is_end = |byte: u8| byte.is_ascii_whitespace() || b"\"'`<>|;&\\".contains(&byte);
            from..from + ends(&text[from..], is_end)
        }
    };
    let says = &text[value.clone()];
    let is_option = says.first().is_none_or(|byte| matches!(byte, b'-' | b'$'));
    (!is_option && !says.iter().all(u8::is_ascii_digit)).then_some(value)
}

/// Where the password begins in a line of FTP or POP (`USER joe`, and `PASS VALUE` behind it), or
/// what a client of SMTP or IMAP is let in by (`AUTH LOGIN VALUE`).
pub(super) fn of_protocol(text: &[u8], name: Range<usize>, at: usize) -> Option<usize> {
    let begins = name.start == 0 || text[name.start - 1] == b'\n';
    let word = &text[name.clone()];
    if !begins || at == name.end || !matches!(word, b"PASS" | b"AUTH") {
        return None;
    }
    if word == b"PASS" {
        let before = text[..name.start].trim_ascii_end();
        let before = &before[before.len().saturating_sub(COMMAND_BYTES)..];
        let line = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        return before[line..].starts_with(b"USER ").then_some(at);
    }
    let methods: [&[u8]; 4] = [b"LOGIN ", b"PLAIN ", b"XOAUTH2 ", b"OAUTHBEARER "];
    methods.iter().find(|method| text[at..].starts_with(method)).map(|method| at + method.len())
}
