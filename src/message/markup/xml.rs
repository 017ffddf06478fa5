//! XML (1.0) by a pull parser: well-formed or nothing. Entities beyond the five that XML has are
//! kept as they are written; nothing is ever fetched or expanded.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::message::markup::tree::{Builder, Tree};

/// Reads a document; none where it is not well-formed, too deep or too large.
pub(crate) fn parse(text: &str) -> Option<Tree> {
    let mut builder = Builder::new();
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut depth = 0_usize;
    loop {
        if builder.failed() {
            return None;
        }
        match reader.read_event().ok()? {
            Event::Start(tag) => {
                start(&mut builder, &tag)?;
                depth += 1;
            }
            Event::Empty(tag) => {
                start(&mut builder, &tag)?;
                builder.end();
            }
            Event::End(_) => {
                builder.end();
                depth = depth.checked_sub(1)?;
            }
            Event::Text(text) => builder.text(&text.decode().ok()?),
            Event::CData(text) => builder.text(&text.decode().ok()?),
            Event::GeneralRef(name) => {
                if let Some(c) = name.resolve_char_ref().ok()? {
                    builder.text(c.encode_utf8(&mut [0; 4]));
                } else {
                    let name = name.decode().ok()?;
                    match resolve_predefined_entity(&name) {
                        Some(text) => builder.text(text),
                        None => builder.text(&format!("&{name};")),
                    }
                }
            }
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if depth > 0 {
        return None;
    }
    builder.finish()
}

fn start(builder: &mut Builder, tag: &BytesStart<'_>) -> Option<()> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Box::<str>::from);
    let mut attributes = Vec::new();
    // Without the parser's own search for duplicates, whose time grows with the square of their
    // number.
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.ok()?;
        // A value with an entity of the document's own is kept as it is written.
        let raw = String::from_utf8_lossy(&attribute.value);
        let value = quick_xml::escape::unescape(&raw).unwrap_or_else(|_| raw.clone());
        attributes.push((text(attribute.key.as_ref())?, value.into()));
    }
    builder.start(&text(tag.name().as_ref())?, attributes);
    Some(())
}
