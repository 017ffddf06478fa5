//! Command lines of a POSIX shell and bash: words, quotes, pipes; and those of cmd, whose carets
//! are taken off first. Nothing is expanded and nothing is run.

use std::io::{self, BufRead};
use std::iter::Peekable;

/// A command: its words.
pub(super) type ShellCommand = Vec<Vec<u8>>;

/// Why a line is no list of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokenLine {
    /// It is longer than allowed.
    Long,
    /// A quote is not closed.
    Open,
}

/// Reads pipelines one after another.
pub(super) struct Pipelines<R: BufRead> {
    bytes: Peekable<io::Bytes<R>>,
    /// Most bytes of one pipeline's words.
    most: usize,
    /// A caret takes its meaning from what follows it, as in cmd.
    has_carets: bool,
}

/// Whether the first command line of a text is one of cmd, as browsers copy them: its quotes stand
/// behind carets, or a caret at its end goes on with the next line.
pub(super) fn has_carets(beginning: &[u8]) -> bool {
    let mut lines = beginning.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| line.starts_with(b"curl ^\"") || line.ends_with(b" ^"))
}

/// A word that is being read, and those before it.
#[derive(Default)]
struct ShellReading {
    pipeline: Vec<ShellCommand>,
    command: ShellCommand,
    word: Option<Vec<u8>>,
    /// The next word is the file of a redirection.
    redirects: bool,
    length: usize,
}

impl ShellReading {
    fn push(&mut self, byte: u8) {
        self.length += 1;
        self.word.get_or_insert_default().push(byte);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        if !std::mem::take(&mut self.redirects) {
            self.command.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.command.is_empty() {
            self.pipeline.push(std::mem::take(&mut self.command));
        }
    }
}

impl<R: BufRead> Pipelines<R> {
    pub(super) fn new(input: R, most: usize) -> Self {
        Self { bytes: input.bytes().peekable(), most, has_carets: false }
    }

    /// The same for command lines of cmd.
    pub(super) fn of_cmd(input: R, most: usize) -> Self {
        Self { has_carets: true, ..Self::new(input, most) }
    }

    /// The next pipeline; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<Vec<ShellCommand>, BrokenLine>>> {
        let mut reading = ShellReading::default();
        loop {
            let Some(byte) = self.byte()? else {
                reading.end_command();
                let is_end = reading.pipeline.is_empty();
                return Ok((!is_end).then_some(Ok(reading.pipeline)));
            };
            if reading.length > self.most {
                self.skip_line()?;
                return Ok(Some(Err(BrokenLine::Long)));
            }
            match byte {
                b'\n' | b';' | b'&' => {
                    reading.end_command();
                    if !reading.pipeline.is_empty() {
                        return Ok(Some(Ok(reading.pipeline)));
                    }
                }
                b'|' => reading.end_command(),
                b' ' | b'\t' | b'\r' => reading.end_word(),
                b'#' if reading.word.is_none() => self.skip_comment()?,
                b'<' | b'>' => {
                    // `2>` names what is redirected by a number.
                    let of_number = |word: &Vec<u8>| word.iter().all(u8::is_ascii_digit);
                    if reading.word.as_ref().is_some_and(of_number) {
                        reading.word = None;
                    }
                    reading.end_word();
                    reading.redirects = true;
                }
                b'\\' => match self.byte()? {
                    Some(b'\n') | None => {}
                    Some(b'\r') if self.peek() == Some(b'\n') => {
                        self.byte()?;
                    }
                    Some(byte) => reading.push(byte),
                },
                b'\'' | b'"' => {
                    if !self.quoted(byte, &mut reading)? {
                        return Ok(Some(Err(BrokenLine::Open)));
                    }
                }
                b'$' if self.peek() == Some(b'\'') => {
                    self.byte()?;
                    if !self.escaped(&mut reading)? {
                        return Ok(Some(Err(BrokenLine::Open)));
                    }
                }
                byte => reading.push(byte),
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.bytes.next().transpose()?;
        if byte != Some(b'^') || !self.has_carets {
            return Ok(byte);
        }
        // The end of a line goes on with the next one, whose first character means itself.
        let mut escaped = self.bytes.next().transpose()?;
        if escaped == Some(b'\r') && self.peek() == Some(b'\n') {
            escaped = self.bytes.next().transpose()?;
        }
        match escaped {
            Some(b'\n') => self.bytes.next().transpose(),
            escaped => Ok(escaped),
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.bytes.peek().and_then(|byte| byte.as_ref().ok().copied())
    }

    /// Up to the end of the line, which stays.
    fn skip_comment(&mut self) -> io::Result<()> {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.byte()?;
        }
        Ok(())
    }

    fn skip_line(&mut self) -> io::Result<()> {
        while self.byte()?.is_some_and(|byte| byte != b'\n') {}
        Ok(())
    }

    /// What stands between quotes; false where they are not closed. What is too long is passed
    /// over, and counted.
    fn quoted(&mut self, quote: u8, reading: &mut ShellReading) -> io::Result<bool> {
        reading.word.get_or_insert_default();
        while let Some(byte) = self.byte()? {
            match byte {
                byte if byte == quote => return Ok(true),
                b'\\' if quote == b'"' => match self.byte()? {
                    Some(byte @ (b'"' | b'\\' | b'$' | b'`')) => self.keep(byte, reading),
                    Some(b'\n') | None => {}
                    Some(byte) => {
                        self.keep(b'\\', reading);
                        self.keep(byte, reading);
                    }
                },
                byte => self.keep(byte, reading),
            }
        }
        Ok(false)
    }

    fn keep(&self, byte: u8, reading: &mut ShellReading) {
        if reading.length > self.most {
            reading.length += 1;
        } else {
            reading.push(byte);
        }
    }

    /// What stands in `$'…'`, with the escapes of C.
    fn escaped(&mut self, reading: &mut ShellReading) -> io::Result<bool> {
        reading.word.get_or_insert_default();
        while let Some(byte) = self.byte()? {
            if byte == b'\'' {
                return Ok(true);
            }
            if byte != b'\\' {
                self.keep(byte, reading);
                continue;
            }
            let Some(escape) = self.byte()? else { return Ok(false) };
            match escape {
                b'n' => self.keep(b'\n', reading),
                b'r' => self.keep(b'\r', reading),
                b't' => self.keep(b'\t', reading),
                b'a' => self.keep(7, reading),
                b'b' => self.keep(8, reading),
                b'f' => self.keep(12, reading),
                b'v' => self.keep(11, reading),
                b'e' | b'E' => self.keep(27, reading),
                b'x' => {
                    let byte = self.digits(16, 2)?.unwrap_or_default();
                    self.keep(byte as u8, reading);
                }
                b'u' => self.character(4, reading)?,
                b'U' => self.character(8, reading)?,
                b'0'..=b'7' => {
                    let more = self.digits(8, 2)?;
                    let first = u32::from(escape - b'0');
                    let byte = more.map_or(first, |more| first * 64 + more);
                    self.keep(byte as u8, reading);
                }
                byte => self.keep(byte, reading),
            }
        }
        Ok(false)
    }

    /// A character by its number; two halves of UTF-16 are put together.
    fn character(&mut self, digits: usize, reading: &mut ShellReading) -> io::Result<()> {
        let mut number = self.digits(16, digits)?.unwrap_or_default();
        if (0xd800..0xdc00).contains(&number) && self.peek() == Some(b'\\') {
            self.byte()?;
            if self.peek() == Some(b'u') {
                self.byte()?;
                let low = self.digits(16, 4)?.unwrap_or_default();
                number = 0x1_0000 + ((number - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
            }
        }
        let mut buffer = [0; 4];
        let character = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
        for byte in character.encode_utf8(&mut buffer).bytes() {
            self.keep(byte, reading);
        }
        Ok(())
    }

    /// A number of at most so many digits; none where there is none.
    fn digits(&mut self, radix: u32, most: usize) -> io::Result<Option<u32>> {
        let mut number = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(radix)) else {
                break;
            };
            self.byte()?;
            number = Some(number.unwrap_or(0) * radix + digit);
        }
        Ok(number)
    }
}

/// Quoted for a shell: in single quotes, with control characters in `$'…'`.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '/' | ':' | '.' | '_' | '-' | '=' | ',' | '@' | '%')
    };
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    if text.chars().any(char::is_control) {
        let mut out = String::from("$'");
        for c in text.chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
        out.push('\'');
        return out;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<Vec<String>>> {
        let mut pipelines = Pipelines::new(text.as_bytes(), 1_000);
        let mut all = Vec::new();
        while let Some(pipeline) = pipelines.next().expect("memory is read") {
            let text = |word: Vec<u8>| String::from_utf8(word).expect("UTF-8");
            let commands = pipeline.expect("whole").into_iter();
            all.push(commands.map(|command| command.into_iter().map(text).collect()).collect());
        }
        all
    }

    #[test]
    fn words_are_those_of_bash() {
        let one = |text: &str| words(text).remove(0).remove(0);
        assert_eq!(
            one("curl -H 'a: b' \\\n  --data-raw \"x \\\"y\\\" \\n\""),
            ["curl", "-H", "a: b", "--data-raw", "x \"y\" \\n"]
        );
        assert_eq!(one(r"curl $'it\'s\n\u0021\x41\101\ud83d\ude00'"), ["curl", "it's\n!AA😀"]);
        assert_eq!(one("curl a'b'\"c\" '' # remark"), ["curl", "abc", ""]);
        assert_eq!(one("curl a 2>/dev/null >out b"), ["curl", "a", "b"]);
        assert_eq!(words("a b | c; d && e\n\n# x\nf").len(), 4);
        assert_eq!(words("a b | c; d")[0].len(), 2);
    }

    #[test]
    fn what_is_too_long_or_open_is_said_and_the_next_line_is_read() {
        let text = format!("curl '{}' more\ncurl x\ncurl 'open", "y".repeat(2_000));
        let mut pipelines = Pipelines::new(text.as_bytes(), 1_000);
        let mut next = || pipelines.next().expect("memory is read");
        assert_eq!(next(), Some(Err(BrokenLine::Long)));
        assert!(matches!(next(), Some(Ok(_))));
        assert_eq!(next(), Some(Err(BrokenLine::Open)));
        assert_eq!(next(), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_quoted_is_read_as_it_was(text in "\\PC{0,30}[\\t\\n\\r'\\\\]{0,3}\\PC{0,5}") {
            let line = format!("curl {}", quoted(&text));
            proptest::prop_assert_eq!(&words(&line)[0][0][1], &text);
        }
    }
}
