//! Header blocks: the standard's examples, what a late comer can know, and bounds.

use proptest::prelude::*;

use super::*;

/// Fields as text; `?` is what is unknown.
fn fields(block: &HeaderBlock) -> Vec<(String, String)> {
    let text = |part: HeaderPart<'_>| match part {
        HeaderPart::Known(octets) => String::from_utf8_lossy(octets).into_owned(),
        HeaderPart::Unknown(_) => "?".to_owned(),
    };
    block.fields.parts().map(|(name, value)| (text(name), text(value))).collect()
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

/// RFC 7541 C.4: three requests with Huffman code.
const REQUESTS: [&str; 3] = [
    "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
    "8286 84be 5886 a8eb 1064 9cbf",
    "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
];

#[test]
fn the_requests_of_the_standard() {
    let mut decoder = Decoder::default();
    let read: Vec<_> = REQUESTS
        .iter()
        .map(|block| fields(&decoder.decode(&octets(block)).expect("a block")))
        .collect();
    let common = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let host = (":authority", "www.example.com");
    assert_eq!(read[0], pairs(&[&common[..], &[host]].concat()));
    assert_eq!(read[1], pairs(&[&common[..], &[host, ("cache-control", "no-cache")]].concat()));
    let last = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        host,
        ("custom-key", "custom-value"),
    ];
    assert_eq!(read[2], pairs(&last));
}

/// RFC 7541 C.6: three responses, with evictions from a table of 256 octets.
#[test]
fn the_responses_of_the_standard() {
    let mut decoder = Decoder::default();
    decoder.resize(256);
    let blocks = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
         4ee5 b106 3d50 07",
    ];
    let read: Vec<_> = blocks
        .iter()
        .map(|block| fields(&decoder.decode(&octets(block)).expect("a block")))
        .collect();
    assert_eq!(read[1][0], (":status".to_owned(), "307".to_owned()));
    assert_eq!(read[1][3], ("location".to_owned(), "https://www.example.com".to_owned()));
    assert_eq!(read[2][4], ("content-encoding".to_owned(), "gzip".to_owned()));
    assert_eq!(decoder.held(), 215);
}

#[test]
fn what_came_before_is_unknown_and_keeps_its_identity() {
    let mut decoder = Decoder::default();
    decoder.lost();
    // Two old entries, an own one, the second old one again (one further back), the own one.
    let first = decoder.decode(&octets("be bf 4001 6101 62")).expect("a block");
    assert_eq!(fields(&first), pairs(&[("?", "?"), ("?", "?"), ("a", "b")]));
    let second = decoder.decode(&octets("be c0 bf")).expect("a block");
    assert_eq!(fields(&second), pairs(&[("a", "b"), ("?", "?"), ("?", "?")]));
    let of = |block: &HeaderBlock, place: usize| {
        block.fields.parts().nth(place).and_then(|(name, _)| name.identity())
    };
    assert_eq!(of(&first, 1), of(&second, 1));
    assert_eq!(of(&first, 0), of(&second, 2));
    assert_ne!(of(&first, 0), of(&first, 1));
    // An old name with a new value; named again by its own index.
    let third = decoder.decode(&octets("7f00 0163 be")).expect("a block");
    assert_eq!(fields(&third), pairs(&[("?", "c"), ("?", "c")]));
    // After a loss the same index is another entry.
    decoder.lost();
    let other = decoder.decode(&octets("be")).expect("a block");
    assert_ne!(of(&other, 0), of(&first, 0));
    // An emptied table has nothing old in it.
    assert_eq!(decoder.decode(&octets("20 be")), Err(BlockError::Index));
}

#[test]
fn what_is_no_block_is_refused_and_nothing_is_known_behind_it() {
    for (block, error) in [
        ("80", BlockError::Index),
        ("be", BlockError::Index),
        ("ff ff ff ff ff ff 01", BlockError::Integer),
        ("40 05 61", BlockError::Cut),
        ("40 81 00 00", BlockError::Huffman),
        ("3f", BlockError::Cut),
    ] {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(&octets(block)), Err(error), "{block}");
        let next = decoder.decode(&octets("82 be")).expect("unknown, and no error");
        assert_eq!(fields(&next), pairs(&[(":method", "GET"), ("?", "?")]));
    }
}

#[test]
fn never_indexed_fields_are_told_and_not_remembered() {
    let mut decoder = Decoder::default();
    let block = decoder.decode(&octets("82 1001 6101 62 0001 6301 64")).expect("a block");
    assert_eq!(block.never_indexed, [1]);
    assert_eq!(decoder.held(), 0);
}

#[test]
fn a_bomb_is_cut_short_and_the_table_goes_on() {
    let mut decoder = Decoder::new(1 << 20, 2_000);
    let mut block = octets("40 01 61");
    let value = [b'x'; 3_000];
    block.extend([0x7f, 0xb9, 0x16]);
    block.extend_from_slice(&value);
    decoder.decode(&block).expect("a block");
    let bomb = decoder.decode(&vec![0xbe; 2_000]).expect("a block");
    let given = bomb.fields.len();
    assert!((20..60).contains(&given), "{given} fields of 3 kB out of 2 kB");
    assert_eq!(bomb.left_out as usize + given, 2_000);
    assert_eq!(fields(&decoder.decode(&[0xbe]).expect("a block"))[0].1.len(), 3_000);
}

fn a_field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, u8)> {
    let name = prop_oneof!["[a-c]{1,2}", Just(":path".to_owned()), Just("cookie".to_owned())];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        "[a-b]{0,2}".prop_map(String::into_bytes),
        Just(vec![b'x'; 900]),
    ];
    (name.prop_map(String::into_bytes), value, 0u8..3)
}

/// Blocks with the table's size that is allowed before each.
fn blocks() -> impl Strategy<Value = Vec<(Option<usize>, Vec<(Vec<u8>, Vec<u8>, u8)>)>> {
    let size = prop::option::weighted(0.2, prop_oneof![Just(0), 40usize..300, Just(4096)]);
    prop::collection::vec((size, prop::collection::vec(a_field(), 0..6)), 1..20)
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_a_late_comer_never_errs(
        blocks in blocks(),
        late in 0usize..20
    ) {
        let (mut encoder, mut decoder, mut joined) =
            (Encoder::default(), Decoder::default(), Decoder::default());
        joined.lost();
        for (number, (size, fields)) in blocks.iter().enumerate() {
            let mut block = Vec::new();
            if let Some(size) = size {
                encoder.allow(*size);
            }
            encoder.begin(&mut block);
            for (name, value, kind) in fields {
                let kinds = [Indexing::Incremental, Indexing::Without, Indexing::Never];
                encoder.field(name, value, kinds[usize::from(*kind)], &mut block);
            }
            let whole = decoder.decode(&block).expect("an own block");
            let want: Headers =
                fields.iter().map(|(name, value, _)| (&name[..], &value[..])).collect();
            prop_assert_eq!(&whole.fields, &want);
            if number < late {
                continue;
            }
            let seen = joined.decode(&block).expect("an own block");
            prop_assert_eq!(seen.fields.len(), want.len());
            for ((name, value), (true_name, true_value)) in seen.fields.parts().zip(want.iter()) {
                prop_assert!(name.identity().is_some() || name.octets() == true_name);
                prop_assert!(value.identity().is_some() || value.octets() == true_value);
            }
        }
    }

    #[test]
    fn no_octets_bring_it_down(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8)
    ) {
        let mut decoder = Decoder::default();
        for block in &blocks {
            let _ = decoder.decode(block);
            prop_assert!(decoder.held() <= limits::HPACK_TABLE_BYTES);
        }
    }
}
