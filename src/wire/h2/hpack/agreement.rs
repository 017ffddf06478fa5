//! Header blocks as another implementation writes and reads them: the same fields, or an error on
//! both sides.

use loona_hpack::decoder::DecoderError;
use proptest::prelude::*;

use super::*;
use crate::message::Headers;

type Field = (Vec<u8>, Vec<u8>);

fn known(block: &HeaderBlock) -> Vec<Field> {
    block.fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// Names and values: of the static table, of few letters, of any octets; long ones, which evict all
/// others; every length of Huffman code.
fn a_field() -> impl Strategy<Value = Field> {
    let named = prop::sample::select(STATIC.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let whole = prop::sample::select(STATIC.to_vec())
        .prop_map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    let name = prop_oneof![
        named.prop_map(|name| name.as_bytes().to_vec()),
        "[a-d]{1,2}".prop_map(String::into_bytes),
        "[!-~]{1,30}".prop_map(String::into_bytes),
    ];
    let value = prop_oneof![
        "[a-c]{0,2}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        // Codes of 5 to 30 bits, alone and together.
        prop::collection::vec(prop::sample::select(b"0ae\\\xffX\0\x01\n\x7f\xc3~".to_vec()), 0..90),
        (0usize..5_000).prop_map(|length| vec![b'v'; length]),
    ];
    prop_oneof![1 => whole, 4 => (name, value)]
}

/// Blocks, before some of which the table's size changes, also twice.
fn blocks() -> impl Strategy<Value = Vec<(Vec<usize>, Vec<(Field, u8)>)>> {
    let size = prop_oneof![Just(0), 32usize..80, 80usize..4_096, Just(4_096)];
    let sizes = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(size, 1..3)];
    let fields = prop::collection::vec((a_field(), 0u8..4), 1..9);
    prop::collection::vec((sizes, fields), 1..25)
}

/// Octets that look like a block, mostly: indices, literals, size updates, broken strings.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let index = prop_oneof![0x80u8..0xff, 0xbeu8..0xc6].prop_map(|octet| vec![octet]);
    let far = (any::<u8>(), 0u8..0x80).prop_map(|(low, high)| vec![0xff, low | 0x80, high]);
    let kind = prop::sample::select(vec![0x40u8, 0x00, 0x10, 0x41, 0x0f, 0x7e, 0x1f, 0x7f]);
    let coded = prop::collection::vec(any::<u8>(), 0..12);
    let literal =
        (kind, coded.clone(), any::<bool>(), coded).prop_map(|(kind, name, huffman, value)| {
            let text = |out: &mut Vec<u8>, octets: &[u8]| {
                out.push(octets.len() as u8 | if huffman { 0x80 } else { 0 });
                out.extend_from_slice(octets);
            };
            let mut out = vec![kind];
            if kind & 0x0f == 0 {
                text(&mut out, &name);
            }
            text(&mut out, &value);
            out
        });
    let update = prop_oneof![0x20u8..0x3f].prop_map(|octet| vec![octet]);
    let part = prop_oneof![4 => index, 1 => far, 4 => literal, 1 => update];
    (prop::collection::vec(part, 0..8), 0usize..4).prop_map(|(parts, cut)| {
        let mut octets = parts.concat();
        octets.truncate(octets.len().saturating_sub(cut / 2));
        octets
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_here_is_read_elsewhere(blocks in blocks()) {
        let mut encoder = Encoder::default();
        let mut other = loona_hpack::Decoder::new();
        for (sizes, fields) in &blocks {
            let mut block = Vec::new();
            sizes.iter().for_each(|size| encoder.allow(*size));
            encoder.begin(&mut block);
            for ((name, value), kind) in fields {
                let indexing = match kind {
                    0 => Indexing::Never,
                    1 => Indexing::Without,
                    _ => Indexing::Incremental,
                };
                encoder.field(name, value, indexing, &mut block);
            }
            let wanted: Vec<Field> = fields.iter().map(|(field, _)| field.clone()).collect();
            prop_assert_eq!(other.decode(&block), Ok(wanted));
        }
    }

    #[test]
    fn what_is_written_elsewhere_is_read_here(blocks in blocks()) {
        let mut encoder = loona_hpack::Encoder::new();
        let mut decoder = Decoder::default();
        for (sizes, fields) in &blocks {
            sizes.iter().for_each(|size| encoder.set_max_table_size(*size));
            let pairs = fields.iter().map(|((name, value), _)| (&name[..], &value[..]));
            let block = encoder.encode(pairs);
            let wanted: Headers =
                fields.iter().map(|((name, value), _)| (&name[..], &value[..])).collect();
            let read = decoder.decode(&block).expect("a block of another encoder");
            prop_assert_eq!(read.fields, wanted);
        }
    }

    #[test]
    fn errors_agree(blocks in prop::collection::vec(octets(), 1..12)) {
        let mut decoder = Decoder::default();
        let mut other = loona_hpack::Decoder::new();
        for block in &blocks {
            let wanted = other.decode(block);
            // Where the other one is stricter than a reader of captures should be.
            if matches!(wanted, Err(DecoderError::SizeUpdateAtEnd)) {
                return Ok(());
            }
            let read = decoder.decode(block);
            prop_assert_eq!(
                read.as_ref().map(known).ok(),
                wanted.as_ref().ok().cloned(),
                "{:?} {:?}",
                read,
                wanted
            );
            if read.is_err() {
                return Ok(());
            }
        }
    }
}
