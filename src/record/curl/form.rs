//! Forms in parts (RFC 7578), as `curl -F` and Postman write them where no part is a file.

/// What separates the parts.
const BOUNDARY: &str = "------------------------shadowtap";

/// The media type of such a body.
pub(crate) const FORM_TYPE: &str =
    "multipart/form-data; boundary=------------------------shadowtap";

/// A form that is being written.
#[derive(Debug, Default)]
pub(crate) struct Form {
    bytes: Vec<u8>,
}

impl Form {
    /// Appends a part.
    pub(crate) fn add(&mut self, name: &[u8], content: &[u8]) {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n",
            String::from_utf8_lossy(name).replace('"', "%22")
        );
        self.bytes.extend_from_slice(head.as_bytes());
        self.bytes.extend_from_slice(content);
        self.bytes.extend_from_slice(b"\r\n");
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The whole body; of a form without a part nothing.
    pub(crate) fn end(mut self) -> Vec<u8> {
        if !self.bytes.is_empty() {
            self.bytes.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        }
        self.bytes
    }
}
