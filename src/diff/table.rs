//! Tables (`text/csv`, RFC 4180; `text/tab-separated-values`) as rows of named cells, so that they
//! are compared by structure: places are `$[3].total`.
//!
//! A first row that both tables have names the columns. Without one cells go by their position.

use ::csv::{ReaderBuilder, StringRecord};

use crate::message::media::MediaType;

/// Most cells of a table that is taken apart.
const MOST_CELLS: usize = 1 << 20;

/// v1's and v2's table.
pub(super) struct Tables {
    /// As JSON.
    pub(super) json: [Vec<u8>; 2],
    /// What stands between the cells of a row.
    pub(super) separators: [u8; 2],
}

/// Both tables; none where one of them is none.
pub(super) fn both(types: [MediaType<'_>; 2], a: &str, b: &str) -> Option<Tables> {
    let tabs = types.iter().all(|kind| kind.name().ends_with("/tab-separated-values"));
    if !tabs && !types.iter().all(|kind| kind.name().ends_with("/csv")) {
        return None;
    }
    let separator = |text: &str| match text.lines().next() {
        _ if tabs => b'\t',
        Some(first) if first.contains(';') && !first.contains(',') => b';',
        _ => b',',
    };
    let separators = [separator(a), separator(b)];
    let (left, right) = (rows(a, separators[0])?, rows(b, separators[1])?);
    let (first, other) = (left.first()?, right.first()?);
    let named = first == other && first.iter().all(|name| !name.is_empty()) && {
        let mut names: Vec<_> = first.iter().collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair[0] != pair[1])
    };
    let written = |rows: &[StringRecord]| match rows {
        [names, rows @ ..] if named => array(rows, |cells, out| {
            let pairs = names.iter().zip(cells);
            list(out, b'{', pairs, |(name, cell), out| {
                text(name, out);
                out.push(b':');
                text(cell, out);
            });
        }),
        rows => array(rows, |cells, out| list(out, b'[', cells.iter(), text)),
    };
    Some(Tables { json: [written(&left), written(&right)], separators })
}

/// The rows of a table; none where they are not equally long, or there is only one column.
fn rows(text: &str, separator: u8) -> Option<Vec<StringRecord>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new();
    reader.has_headers(false).delimiter(separator);
    let mut rows = Vec::new();
    let mut cells = 0;
    for row in reader.from_reader(text.as_bytes()).into_records() {
        let row = row.ok()?;
        cells += row.len();
        if row.len() < 2 || cells > MOST_CELLS {
            return None;
        }
        rows.push(row);
    }
    Some(rows)
}

fn array(rows: &[StringRecord], row: impl Fn(&StringRecord, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    list(&mut out, b'[', rows.iter(), |cells, out| row(cells, out));
    out
}

fn list<T>(
    out: &mut Vec<u8>,
    open: u8,
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(if open == b'{' { b'}' } else { b']' });
}

fn text(value: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("a text in memory can be written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(kind: &str, a: &str, b: &str) -> Option<[String; 2]> {
        both([MediaType::new(kind.as_bytes()); 2], a, b)
            .map(|tables| tables.json.map(|json| String::from_utf8(json).unwrap()))
    }

    #[test]
    fn cells_go_by_the_names_of_their_columns_where_both_have_them() {
        let [a, b] =
            json("text/csv", "id,total\r\n7,\"1,50\"\r\n", "id,total\n7,\"1,\"\"60\"").unwrap();
        assert_eq!(a, r#"[{"id":"7","total":"1,50"}]"#);
        assert_eq!(b, r#"[{"id":"7","total":"1,\"60"}]"#);
        let [a, _] = json("text/csv; charset=utf-8", "1;a\n2;b\n", "3;a\n2;b\n").unwrap();
        assert_eq!(a, r#"[["1","a"],["2","b"]]"#, "no common first row");
        let [a, _] = json("text/tab-separated-values", "k\tv,w\n1\t\n", "k\tv,w\n1\tx").unwrap();
        assert_eq!(a, r#"[{"k":"1","v,w":""}]"#);
    }

    #[test]
    fn what_stands_between_cells_is_told() {
        let of = |a: &str, b: &str| {
            both([MediaType::new(b"text/csv"); 2], a, b).map(|tables| tables.separators)
        };
        assert_eq!(of("id,n\n1,2\n", "id;n\n1;2\n"), Some([b',', b';']));
        assert_eq!(of("id;n\n1;2,5\n", "id;n\n1;2,6\n"), Some([b';', b';']));
    }

    #[test]
    fn what_is_no_table_is_text() {
        for (kind, text) in [
            ("text/plain", "a,b\n1,2\n"),
            ("text/csv", "one column\n1\n"),
            ("text/csv", "a,b\n1\n"),
            ("text/csv", ""),
        ] {
            assert_eq!(json(kind, text, text), None, "{kind} {text}");
        }
    }
}
