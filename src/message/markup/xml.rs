//! XML (1.0) by a pull parser: well-formed or nothing. Entities beyond the five that XML has are
//! kept as they are written; nothing is ever fetched or expanded.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::message::markup::tree::{Builder, Tree};

/// Reads a document; none where it is not well-formed, too deep or too large.
pub(crate) fn parse(text: &str) -> Option<Tree> {
    read(text, false)
}

/// The same with where everything stands, and with the document type, whose entities are not
/// expanded. None also where an element has two attributes of one name.
pub(crate) fn parse_placed(text: &str) -> Option<Tree> {
    read(text, true)
}

fn read(whole: &str, placed: bool) -> Option<Tree> {
    let text = whole.trim_start_matches('\u{feff}');
    let mark = whole.len() - text.len();
    let mut builder = Builder::new(placed);
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    loop {
        if builder.failed() {
            return None;
        }
        let from = mark + reader.buffer_position() as usize;
        let event = reader.read_event().ok()?;
        let span = from..mark + reader.buffer_position() as usize;
        match event {
            Event::Start(tag) => {
                start(&mut builder, whole, &tag)?;
                depth += 1;
            }
            Event::Empty(tag) => {
                start(&mut builder, whole, &tag)?;
                builder.end();
            }
            Event::End(_) => {
                builder.end();
                depth = depth.checked_sub(1)?;
            }
            Event::Text(text) => builder.text(&text.decode().ok()?, span),
            Event::CData(text) => builder.text(&text.decode().ok()?, span),
            Event::GeneralRef(name) => {
                if let Some(c) = name.resolve_char_ref().ok()? {
                    builder.text(c.encode_utf8(&mut [0; 4]), span);
                } else {
                    let name = name.decode().ok()?;
                    match resolve_predefined_entity(&name) {
                        Some(text) => builder.text(text, span),
                        None => builder.text(&format!("&{name};"), span),
                    }
                }
            }
            Event::DocType(text) if placed => builder.doctype(&text.decode().ok()?),
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
            Event::Eof => break,
        }
    }
    if depth > 0 || placed && builder.doubled {
        return None;
    }
    builder.finish()
}

fn start(builder: &mut Builder, whole: &str, tag: &BytesStart<'_>) -> Option<()> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Box::<str>::from);
    let mut attributes = Vec::new();
    // Without the parser's own search for duplicates, whose time grows with the square of their
    // number.
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.ok()?;
        // A value with an entity of the document's own is kept as it is written.
        let raw = String::from_utf8_lossy(&attribute.value);
        let value = quick_xml::escape::unescape(&raw).unwrap_or_else(|_| raw.clone());
        // The value is a slice of the document, its quotes stand beside it.
        let at = (attribute.value.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        let span = at.saturating_sub(1) as u32..(at + attribute.value.len() + 1) as u32;
        attributes.push((text(attribute.key.as_ref())?, value.into(), span));
    }
    builder.start(&text(tag.name().as_ref())?, attributes);
    Some(())
}
