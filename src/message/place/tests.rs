//! Each spelling against places that it names and places that it does not.

use super::*;

/// The steps that a place is written with.
fn steps(text: &str) -> Vec<Step<'static>> {
    text.parse::<Place>().unwrap_or_else(|why| panic!("{why}")).0
}

fn covers(pattern: &str, place: &str) -> bool {
    let pattern: Pattern = pattern.parse().unwrap_or_else(|why: String| panic!("{why}"));
    let steps = steps(place);
    pattern.covers_steps(&steps)
}

#[test]
fn a_place_is_written_and_read_in_one_way() {
    for text in [
        "method",
        "status",
        "path[2]",
        "query:page",
        "query:'a b'",
        "query:filter[author]",
        "header:x-trace",
        "header:location path[3]",
        "header:location query:page",
        "header:authorization $.sub",
        "cookie:session",
        "cookie:sid;path",
        "form:card",
        "form:'it\\'s'",
        "part:order $.items[0].price",
        "part[1] /order/@id",
        "part:file header:content-type",
        "$",
        "$.a['odd name'][3]['it\\'s'].b",
        "$.ids['8231']~",
        "$.a(2)",
        "$.payload $.amount",
        "/order/line[2]/@sku",
        "/order/text()",
        "/order/text()[2]",
        "/a/namespace()",
        "line[3]",
        "line[3] $.n",
        "event[2] $.i",
        "event[2] @id",
        "body",
    ] {
        let place: Place = text.parse().unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(place.to_string(), text);
        assert_eq!(place.to_string().parse(), Ok(place));
    }
    let upper = Place::new(&[Step::Header("X-Trace".into())]);
    assert_eq!(upper.to_string(), "header:x-trace");
}

#[test]
fn old_spellings_are_still_read() {
    for (pattern, place) in [
        ("query.page", "query:page"),
        ("query.b[1]", "query:b"),
        ("header.SoapAction", "header:soapaction"),
        ("content-type", "header:content-type"),
        ("cookie.session", "cookie:session"),
        ("set-cookie:sid", "cookie:sid"),
        ("set-cookie:sid;expires", "cookie:sid;expires"),
        ("form.card", "form:card"),
        ("field:card", "form:card"),
        ("body.card", "form:card"),
        ("body.card", "$.card"),
        ("body.user.name", "$.user.name"),
        ("response.stock", "$.stock"),
        ("response.status", "status"),
        ("json:$..iban", "$.a.iban"),
        ("part.file", "part:file"),
        ("part order: $.n[1]", "part:order $.n[1]"),
        ("part 0: $.n", "part[0] $.n"),
        ("/Envelope/Body/Pay@cur", "/Envelope/Body/Pay/@cur"),
        ("/Envelope/Body/Amount", "/Envelope/Body/Amount/text()"),
        ("/s:Envelope/s:Body", "/Envelope/Body/text()"),
        ("line 3", "line[3]"),
        ("$.a[*].n", "$.a[3].n"),
        ("path[2]", "path[2]"),
    ] {
        assert!(covers(pattern, place), "{pattern} {place}");
    }
}

#[test]
fn a_pattern_names_what_it_says_and_what_is_under_it() {
    for (pattern, place, expected) in [
        ("$", "$.a", true),
        ("$.a", "$.a[0].b", true),
        ("$.a", "$.ab", false),
        ("$.a[2]", "$.a[3]", false),
        ("$.a[*].b", "$.a.x.b", true),
        ("$..price", "$.items[3].price", true),
        ("$..price", "$.price.net", true),
        ("$.a.*.b", "$.a.x.b", true),
        ("$['a.b']", "$['a.b']", true),
        ("$['*']", "$.a", false),
        ("$.utm_*", "$.utm_source", true),
        ("$.a", "$.a(2)", true),
        ("$.p $.a", "$.p $.a", true),
        ("$.p", "$.p $.a", true),
        ("$.p $.a", "$.p", false),
        ("query:utm_*", "query:utm_source", true),
        ("query:*_id", "query:user_id", true),
        ("query:*_id", "query:id", false),
        ("query:page", "form:page", false),
        ("header:x-*", "header:x-trace", true),
        ("header:LOCATION", "header:location query:page", true),
        ("cookie:Session", "cookie:session", false),
        ("path[*]", "path[3]", true),
        ("path[1]", "path[2]", false),
        ("/a/b", "/a/b[2]/@c", true),
        ("/a/b[2]", "/a/b/text()", false),
        ("/a/*", "/a/b/c/text()", true),
        ("//Nonce", "/Envelope/Header/Nonce/text()", true),
        ("/a/@*", "/a/@x", true),
        ("part[*] $.id", "part[3] $.id", true),
        ("line[*]", "line[7]", true),
    ] {
        assert_eq!(covers(pattern, place), expected, "{pattern} {place}");
    }
    let pattern: Pattern = "cookie:Session".parse().unwrap();
    assert!(pattern.in_any_case().covers_steps(&[&Step::Cookie("session".into())]));
    for wrong in ["", " ", "$.", "$[", "$[?@.a>1]", "$.a[1:2]", "query:", "what is this", "path[x]"]
    {
        assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
    }
    assert!("$.a[*]".parse::<Place>().is_err());
}

#[test]
fn a_trail_knows_its_places_names() {
    let root = Trail::new(Step::Root);
    let (items, other) =
        (root.then(Step::Name("items".into())), root.then(Step::Name("item".into())));
    let (first, second) = (items.then(Step::Index(0)), items.then(Step::Index(1)));
    let price = second.then(Step::Name("price".into()));
    assert_eq!(price.to_string(), "$.items[1].price");
    assert_eq!(price.general_text(), "$.items[*].price");
    assert_eq!(price.place().to_string(), price.to_string());
    assert_eq!(second.name(), Some("items"));
    assert_ne!(first.hash(), second.hash());
    assert_eq!(first.general(), second.general());
    assert_ne!(items.hash(), other.hash());
    let ids = |id: &'static str| Trail::new(Step::Root).then(Step::Name(id.into())).general();
    assert_eq!(ids("8231"), ids("8232"));
    assert_eq!(
        Trail::new(Step::Header("X-Id".into())).hash(),
        Trail::new(Step::Header("x-id".into())).hash()
    );
    assert_ne!(Trail::new(Step::Segment(1)).general(), Trail::new(Step::Segment(2)).general());
}

#[test]
fn a_name_without_end_is_told_by_its_start_and_its_hash() {
    let long = |end: &str| format!("{}{end}", "n".repeat(10_000));
    let [one, other] = [long("a"), long("b")];
    let root = Trail::new(Step::Root);
    for step in [Step::Name, Step::Query, Step::Cookie, Step::Form, Step::Attribute, Step::Header] {
        let at = |name: &str| root.then(step(name.to_owned().into()));
        let [a, b] = [at(&one), at(&other)];
        assert!(a.to_string().len() < 150 && a.to_string() != b.to_string(), "{a}");
        assert_eq!(a.place().hash(), a.hash(), "a place by itself is the same place");
        assert_eq!(a.place().to_string(), a.to_string());
        assert_ne!(a.hash(), b.hash());
        // Written by itself, as comparisons do.
        assert!(step(one.clone().into()).to_string().len() < 150);
    }
    let short = "n".repeat(limits::PLACE_NAME_BYTES);
    assert_eq!(told(&short), short);
}

#[test]
fn paths_are_written_as_in_rfc_9535_and_generalised() {
    let name = |text: &'static str| Step::Name(text.into());
    let steps = [
        name("by_id"),
        name("8231"),
        name("it's"),
        Step::Index(3),
        name("f81d4fae-7dec-41d0-a765-00a0c91e6bf6"),
    ];
    assert_eq!(
        json_path(&steps, false),
        "$.by_id['8231']['it\\'s'][3]['f81d4fae-7dec-41d0-a765-00a0c91e6bf6']"
    );
    assert_eq!(json_path(&steps, true), "$.by_id[*]['it\\'s'][*][*]");
}
