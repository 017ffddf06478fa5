//! In which form exchanges are written, by the name of the file; and the writers of the forms that
//! other tools read.

use super::exchanges::{End, Header, Rest};
use super::gor::Written;
use super::{curl, exchanges, framed, gor, har, k6};
use crate::exchange::Exchange;
use crate::ledger::Ledger;

/// A form of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingForm {
    /// The program's own: `.jsonl`.
    Exchanges,
    /// The same in frames: `.stx`.
    Framed,
    /// HTTP Archive: `.har`.
    Har,
    /// GoReplay: `.gor`.
    Gor,
    /// A script of k6: `.js`, `.k6`.
    K6,
    /// Command lines of curl: `.sh`, `.curl`.
    Curl,
}

/// A name that means another format: its ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherForm(pub String);

impl RecordingForm {
    /// By the name of a file; one without an ending, or `-`, is the program's own. A date or a
    /// version at the end (`v1.2`) is no ending.
    pub fn of(name: &str) -> Result<Self, OtherForm> {
        let file = name.rsplit('/').next().unwrap_or(name);
        let plain = file.strip_suffix(".zst").or_else(|| file.strip_suffix(".gz")).unwrap_or(file);
        match plain.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            None | Some("jsonl" | "ndjson") => Ok(Self::Exchanges),
            Some("stx") => Ok(Self::Framed),
            Some("har") => Ok(Self::Har),
            Some("gor") => Ok(Self::Gor),
            Some("js" | "k6") => Ok(Self::K6),
            Some("sh" | "curl") => Ok(Self::Curl),
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => {
                Ok(Self::Exchanges)
            }
            Some(other) => Err(OtherForm(other.to_owned())),
        }
    }

    /// The form in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exchanges | Self::Framed => "exchanges",
            Self::Har => "a HAR",
            Self::Gor => "a GoReplay file",
            Self::K6 => "a k6 script",
            Self::Curl => "curl lines",
        }
    }
}

/// Writes exchanges in another tool's form.
pub struct FormWriter {
    form: RecordingForm,
    frames: Option<framed::FrameWriter>,
    encoded: Vec<u8>,
    script: k6::K6Script,
    written: u64,
}

impl FormWriter {
    /// A writer, and what stands before the first exchange; `header` where the form has one.
    pub fn begin(form: RecordingForm, header: &Header, out: &mut Vec<u8>) -> Self {
        let mut frames = None;
        let beginning = match form {
            RecordingForm::Framed => {
                frames = Some(framed::FrameWriter::begin(header, out));
                String::new()
            }
            RecordingForm::Exchanges => {
                exchanges::write_line(out, header);
                String::new()
            }
            RecordingForm::Gor => String::new(),
            RecordingForm::Har => har::write::beginning(exchanges::TOOL),
            RecordingForm::K6 => k6::K6Script::beginning(exchanges::TOOL),
            RecordingForm::Curl => curl::write::beginning(exchanges::TOOL),
        };
        out.extend_from_slice(beginning.as_bytes());
        Self { form, frames, encoded: Vec::new(), script: k6::K6Script::default(), written: 0 }
    }

    /// Appends an exchange, as far as the form can hold it.
    pub fn write(&mut self, out: &mut Vec<u8>, exchange: &Exchange) -> Written {
        let whole = |could: bool| if could { Written::Whole } else { Written::Nothing };
        let start = out.len();
        if self.form == RecordingForm::Har && self.written > 0 {
            out.extend_from_slice(b",\n");
        }
        let written = match self.form {
            RecordingForm::Framed => {
                self.encoded.clear();
                framed::encode(exchange, &mut self.encoded);
                if let Some(frames) = &mut self.frames {
                    frames.add(exchange.id, &exchange.closed, &self.encoded, out);
                }
                Written::Whole
            }
            RecordingForm::Exchanges => {
                exchanges::write(out, exchange);
                Written::Whole
            }
            RecordingForm::Har => whole(har::write::write(out, exchange)),
            RecordingForm::Gor => gor::write(out, exchange),
            RecordingForm::K6 => whole(self.script.write(out, exchange)),
            RecordingForm::Curl => whole(curl::write::write(out, exchange)),
        };
        match written {
            Written::Nothing => out.truncate(start),
            _ => self.written += 1,
        }
        written
    }

    /// Appends what stands behind the last exchange, with the account of the inputs where the form
    /// has one.
    pub fn end(&mut self, ledger: &Ledger, out: &mut Vec<u8>) {
        let end = || End::new(self.written, ledger.clone(), Rest::default());
        match self.form {
            RecordingForm::Exchanges => exchanges::write_line(out, &end()),
            RecordingForm::Framed => {
                let end = end();
                if let Some(frames) = &mut self.frames {
                    frames.end(&end, out);
                }
            }
            RecordingForm::Har => out.extend_from_slice(har::write::END.as_bytes()),
            RecordingForm::K6 => out.extend_from_slice(self.script.end().as_bytes()),
            RecordingForm::Gor | RecordingForm::Curl => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_chooses_the_form_and_one_that_means_another_is_refused() {
        for (name, form) in [
            ("-", RecordingForm::Exchanges),
            ("/dev/null", RecordingForm::Exchanges),
            ("a.b/x", RecordingForm::Exchanges),
            ("x.jsonl.zst", RecordingForm::Exchanges),
            ("x.stx", RecordingForm::Framed),
            ("x.stx.gz", RecordingForm::Framed),
            ("x.HAR", RecordingForm::Har),
            ("x.har.gz", RecordingForm::Har),
            ("x.gor", RecordingForm::Gor),
            ("load.js", RecordingForm::K6),
            ("load.k6", RecordingForm::K6),
            ("lines.sh", RecordingForm::Curl),
            ("x.ndjson.zst", RecordingForm::Exchanges),
            ("v1.2", RecordingForm::Exchanges),
            ("week.2026-11-30", RecordingForm::Exchanges),
            ("/dev/fd/63", RecordingForm::Exchanges),
        ] {
            assert_eq!(RecordingForm::of(name), Ok(form), "{name}");
        }
        for name in [
            "x.pcap",
            "x.json",
            "x.csv.gz",
            "x.xz",
            "x.hra",
            "x.goreplay",
            "x.warc",
            "x.tgz",
            "x.json5",
            "x.jsonl.gz.zst",
            "x.jsonl.bz2",
            "a/x.jsnl",
            "x.7z",
        ] {
            assert!(RecordingForm::of(name).is_err(), "{name}");
        }
    }
}
