//! What counts as a change of a document, and where it is.

use super::super::rules::{DiffConfig, RouteRules, Rules};
use super::*;
use crate::message::Request;
use crate::redact::Masker;

fn changes(language: Language, a: &str, b: &str, rules: &RouteRules) -> Option<Vec<String>> {
    let request = Request::default();
    let context = Context {
        actual_at: Some("2026-11-23T12:00:00Z".parse().unwrap()),
        rules,
        masker: &Masker::new(b"k"),
        ..Context::plain(&request)
    };
    let mut sink = Sink::default();
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    compare(&context, language, a, b, &mut sink).then(|| {
        sink.changes
            .iter()
            .map(|change| {
                format!(
                    "{} {} {}→{}",
                    change.place,
                    change.label,
                    value(&change.expected),
                    value(&change.actual)
                )
            })
            .collect()
    })
}

fn html(a: &str, b: &str) -> Vec<String> {
    changes(Language::Html, a, b, &RouteRules::default()).unwrap()
}

fn xml(a: &str, b: &str) -> Option<Vec<String>> {
    changes(Language::Xml, a, b, &RouteRules::default())
}

#[test]
fn html_is_equal_where_a_browser_sees_no_difference() {
    for (a, b) in [
        (
            "<!DOCTYPE html><html><body><p>a  b</p></body></html>",
            "<!doctype HTML>\n<html>\n <body>\n<p>a\nb\n</body></html>",
        ),
        ("<p class='b a' id=x>1", "<P ID=\"x\" CLASS=\"a b\">1</P>"),
        (
            "<title>t</title><p class=a>1",
            "<html><head><title>t</title></head><body>\n<p class=a>1</p></body></html>",
        ),
        ("<ul><li>1<li>2</ul>", "<ul><li>1</li><li>2</li></ul>"),
        (
            "<br><img src=a>&amp;&lt;",
            "<br/><img src='a'/>&#38;<!-- said --> &lt;".replace(" &lt;", "&lt;").as_str(),
        ),
        (
            "<table><tr><td>1<td>2<tr><td>3</table>",
            "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>",
        ),
    ] {
        assert_eq!(html(a, b), [""; 0], "{a} {b}");
    }
}

#[test]
fn html_differs_where_something_changed() {
    for (a, b, expected) in [
        (
            "<html><p>a<p>b</html>",
            "<html><p>a<p>c</html>",
            &["/html/body/p[2]/text() changed b→c"][..],
        ),
        (
            "<a href=/x>t</a>",
            "<a href=/y rel=n>t</a>",
            &["/html/body/a/@href changed /x→/y", "/html/body/a/@rel added -→n"],
        ),
        (
            "<ul><li>1<li>2<li>3</ul>",
            "<ul><li>1<li>3</ul>",
            &["/html/body/ul/li[2] removed <li>2→-"],
        ),
        (
            "<div><p>1</p></div>",
            "<div><h2 id=n>New</h2><p>1</p></div>",
            &["/html/body/div/h2 added -→<h2 id=\"n\">New"],
        ),
        ("<!doctype html><p>1", "<p>1", &["/doctype() removed html→-"]),
        (
            "<p>1",
            "<html lang=en><body id=b><p>1",
            &["/html/@lang added -→en", "/html/body/@id added -→b"],
        ),
        (
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\"><p>1",
            "<!doctype html><p>1",
            &["/doctype() changed html \"-//W3C//DTD HTML 3.2 Final//EN\"→html"],
        ),
        ("plain", "other", &["/html/body/text() changed plain→other"]),
        (
            "<script>if (a<b) x('</p>')</script>",
            "<script>if (a<b) y('</p>')</script>",
            &["/html/head/script/text() changed if (a<b) x('</p>')→if (a<b) y('</p>')"],
        ),
        ("<pre>a\n b</pre>", "<pre>a b</pre>", &["/html/body/pre/text() changed a\n b→a b"]),
        (
            "<svg><path d=M1 /><g/></svg><p>x",
            "<svg><path d=M2 /><g/></svg><p>x",
            &["/html/body/svg/path/@d changed M1→M2"],
        ),
        (
            "<input name=password value=hunter2>",
            "<input name=password value=hunter3>",
            &["/html/body/input/@value changed ‹masked:a02cdb›→‹masked:"],
        ),
    ] {
        let found = html(a, b);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            if expected.contains("masked") {
                assert!(found.contains("masked") && !found.contains("hunter"), "{found}");
            } else {
                assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn xml_is_compared_as_data() {
    let equal = xml(
        "<?xml version='1.0'?><a x='1' y='2'><b/>t &amp; &#x41;<![CDATA[<c>]]></a>",
        "<a y=\"2\" x=\"1\">\n <b></b> t &#38; A&lt;c&gt; <!-- c --></a>",
    );
    assert_eq!(equal, Some(vec![]));
    let changed =
        xml("<r><i k='1'>a</i><i k='2'>b</i></r>", "<r><i k='1'>a</i><i k='3'>b</i><j/></r>");
    assert_eq!(
        changed,
        Some(vec!["/r/i[2]/@k changed 2→3".to_owned(), "/r/j added -→<j>".to_owned()])
    );
    assert_eq!(
        xml("<a>&own;</a>", "<a>&other;</a>"),
        Some(vec!["/a/text() changed &own;→&other;".to_owned()])
    );
    for broken in ["<a>", "<a></b>", "<a x=1/>", "<a", "</a>"] {
        assert_eq!(xml(broken, "<a/>"), None, "{broken}");
    }
}

#[test]
fn a_rule_may_name_a_place() {
    let config: DiffConfig = toml::from_str(
        "[[ignore]]\nplace = '/html/head/meta/@content'\n[[match]]\n\
            place = '/html/body/*'\nmatches = 'integer'",
    )
    .unwrap();
    let rules = Rules::new(&config).unwrap().of_route("GET /");
    let of = |a: &str, b: &str| changes(Language::Html, a, b, &rules).unwrap();
    assert_eq!(
        of("<html><head><meta content=1></html>", "<html><head><meta content=2></html>"),
        [""; 0]
    );
    assert_eq!(of("<html><body><p>1</html>", "<html><body><p>2</html>"), [""; 0]);
    assert_eq!(of("<html><body><p>1</html>", "<html><body><p>x</html>").len(), 1);
}

#[test]
fn hostile_documents_are_bounded() {
    let deep = "<div>".repeat(100_000);
    assert_eq!(changes(Language::Html, &deep, "<p>", &RouteRules::default()), None);
    assert_eq!(xml(&"<a>".repeat(1_000_000), "<a/>"), None);
    assert_eq!(
        changes(Language::Html, &"<p>x".repeat(1 << 17), "<p>", &RouteRules::default()),
        None,
        "too many"
    );
    assert_eq!(
        changes(Language::Html, &"x".repeat(MAX_BYTES + 1), "<p>", &RouteRules::default()),
        None,
        "too long"
    );
    let bomb = "<!DOCTYPE a [<!ENTITY b 'xxxxxxxxxx'><!ENTITY c '&b;&b;&b;&b;&b;'>]><a>&c;</a>";
    assert_eq!(xml(bomb, bomb), Some(vec![]), "nothing is expanded");
    let wide = |tag: char| -> String {
        (0..20_000).map(|n| format!("<{tag}{}>x</{tag}{}>", n % 999, n % 999)).collect()
    };
    let attributes: String = (0..20_000).map(|n| format!(" a{n}='1'")).collect();
    for language in [Language::Html, Language::Xml] {
        let of = |text: &str| format!("<a{attributes}>{text}</a>");
        assert!(
            changes(language, &of(&wide('i')), &of(&wide('j')), &RouteRules::default())
                .is_some_and(|c| c.len() > 100)
        );
    }
    let many: String = (0..20_000).map(|n| format!("<i{}>", n % 7)).collect();
    assert!(changes(Language::Html, &many, "<i1>", &RouteRules::default()).is_none());
    // The tokenizer calls itself for each attribute in double quotes.
    let quoted = |count: usize| -> String {
        let row = (0..count).map(|n| format!(" a{n}=\"x\" b{n} = \"\" c{n}=\"{n}\""));
        format!("<p{}", row.collect::<String>())
    };
    let few = changes(Language::Html, &quoted(100), &quoted(99), &RouteRules::default());
    assert_eq!(few.map(|changes| changes.len()), Some(0), "a tag that does not end is no tag");
    for many in [quoted(100_000), format!("<a {} <b{}", "a=\"&\"".repeat(3_000), quoted(50_000))] {
        let many = format!("{many}>x");
        assert!(changes(Language::Html, &many, "<p>", &RouteRules::default()).is_none(), "many");
    }
}

#[test]
fn no_document_costs_more_than_n_log_n() {
    let joined = |n: usize, one: &dyn Fn(usize) -> String| (0..n).map(one).collect::<String>();
    let children: [(&str, &dyn Fn(usize, usize) -> String); 4] = [
        ("other texts", &|n, side| joined(n, &|i| format!("<i>{i} {side}</i>"))),
        ("the other way round", &|n, side| {
            joined(n, &|i| format!("<i>{}</i>", if side == 0 { i } else { n - i }))
        }),
        ("other names", &|n, side| joined(n, &|i| format!("<i{side}>{i}</i{side}>"))),
        ("other numbers", &|n, side| joined(n + side, &|i| format!("<i>{i} {side}</i><b/>"))),
    ];
    for (name, inside) in children {
        let document = |n: usize, side: usize| format!("<r>{}</r>", inside(n, side));
        steps::hold_to_n_log_n(1_000, |n| {
            let (a, b) = (document(n, 0), document(n, 1));
            let found = changes(Language::Xml, &a, &b, &RouteRules::default());
            assert!(found.is_some(), "{name}: {} bytes", a.len());
        });
    }
}

#[test]
fn how_long_ago_it_was_is_a_time_beside_a_date_and_with_the_word() {
    let request = Request::default();
    let context = Context {
        actual_at: Some("2026-11-23T12:00:00Z".parse().unwrap()),
        ..Context::plain(&request)
    };
    let looks = |a: &str, b: &str| {
        let mut sink = Sink::default();
        assert!(compare(&context, Language::Html, a, b, &mut sink));
        sink.changes.iter().map(|change| change.look).collect::<Vec<_>>()
    };
    let time = [Look::Kind(ValueKind::Moment)];
    let link = |age: &str| format!("<p>Made <a title='Nov. 22, 2026, 9:59 a.m.'>{age}</a> ago");
    assert_eq!(looks(&link("0 seconds"), &link("2 seconds")), time);
    assert_eq!(looks(&link("less than a minute"), &link("1 minute")), time);
    assert_eq!(looks("<p>by Ann 13 seconds ago", "<p>by Ann 9 seconds ago"), time);
    // v2 has the data that v1 had: a day and two hours later they are older.
    assert_eq!(looks("<p>about 2 hours ago", "<p>1 day, 4 hours ago"), time);
    for (a, b) in [
        ("<p>waits 5 seconds", "<p>waits 9 seconds"),
        ("<p>5 seconds", "<p>9 seconds"),
        ("<p>2 hours ago", "<p>3 years ago"),
        ("<p>by Ann 5 seconds ago", "<p>by Bob 9 seconds ago"),
    ] {
        assert_ne!(looks(a, b), time, "{a}");
    }
}

#[test]
fn entity_tags_in_documents_are_some() {
    let request = Request::default();
    let context = Context::plain(&request);
    let look = |name: &str, a: &str, b: &str| {
        let text = |tag: &str| format!("<p xmlns:D='DAV:'><D:{name}>{tag}</D:{name}></p>");
        let mut sink = Sink::default();
        assert!(compare(&context, Language::Xml, &text(a), &text(b), &mut sink));
        sink.changes[0].look
    };
    let tag = Look::Kind(ValueKind::ETag);
    assert_eq!(look("getetag", "11692511-179596-11", "11805115-179597-11"), tag);
    assert_eq!(look("ETag", "W/\"5f-2b2c1e5a3c\"", "W/\"77-a1b2c3d4e5\""), tag);
    for (name, a, b) in [
        ("size", "11692511-179596-11", "11805115-179597-11"),
        ("getetag", "first", "second"),
        ("getetag", "11692511-179596-11", "none"),
    ] {
        assert_ne!(look(name, a, b), tag, "{name} {a}");
    }
}
