//! Header blocks and frames of HTTP/2 by themselves: blocks of the encoder are decoded to the same
//! fields, and a decoder that comes late knows a field as it is or not at all; a decoder keeps to
//! its bounds whatever comes; frames in any cut are the same frames, and those that are written are
//! read as they were.
//!
//! Input: a byte of choices, a byte that seeds the cuts, then octets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shadowtap::wire::h2::frame::{FrameReader, Piece, kind, write};
use shadowtap::wire::h2::hpack::{Decoder, Encoder, Indexing};

fuzz_target!(|data: &[u8]| {
    let [choice, seed, octets @ ..] = data else { return };
    match choice % 4 {
        0 => blocks(octets),
        1 => {
            let mut decoder = Decoder::new(4_000, 30);
            octets.split(|byte| *byte == 0xfe).for_each(|block| {
                if let Ok(block) = decoder.decode(block) {
                    assert!(block.fields.len() <= 30);
                }
            });
        }
        2 => {
            let mut state = u64::from(*seed);
            let cut = frames(octets, |_| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                1 + (state >> 40) as usize % 20
            });
            assert_eq!(frames(octets, |_| usize::MAX), cut);
        }
        _ => {
            let parts = || octets.chunks(usize::from(*seed) + 1);
            let mut out = Vec::new();
            parts().for_each(|part| write(&mut out, 0x2a, part[0], 9, part));
            let read = frames(&out, |_| usize::MAX);
            let read: Vec<_> =
                read.iter().map(|(kind, stream, part)| (*kind, *stream, &part[..])).collect();
            assert_eq!(read, parts().map(|part| (0x2a, 9, part)).collect::<Vec<_>>());
        }
    }
});

/// Kinds, streams and payloads of frames, contents of DATA joined.
fn frames(octets: &[u8], mut size: impl FnMut(usize) -> usize) -> Vec<(u8, u32, Vec<u8>)> {
    let mut reader = FrameReader::<()>::new(16_384);
    let mut all = Vec::new();
    let mut content = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() && !reader.is_lost() {
        let (mut slice, behind) = rest.split_at(size(rest.len()).clamp(1, rest.len()));
        rest = behind;
        while !slice.is_empty() && !reader.is_lost() {
            let step = reader.step(slice, ());
            let used = step.used;
            match step.piece {
                Some(Piece::Frame(head, payload)) => {
                    all.push((head.kind, head.stream, payload.to_vec()));
                }
                Some(Piece::Data(_, more)) => content.extend_from_slice(more),
                Some(Piece::DataEnd(head)) => {
                    all.push((kind::DATA, head.stream, std::mem::take(&mut content)));
                }
                Some(Piece::TooLong(head)) => all.push((head.kind, head.stream, Vec::new())),
                None if used == 0 => return all,
                None => {}
            }
            slice = &slice[used..];
        }
    }
    all
}

/// Fields of two letters and a number each.
fn blocks(stream: &[u8]) {
    let (mut encoder, mut decoder, mut late) =
        (Encoder::default(), Decoder::default(), Decoder::default());
    late.lost();
    for (number, part) in stream.split(|byte| *byte == 0xff).enumerate() {
        let mut block = Vec::new();
        if let [0xfd, size, ..] = part {
            encoder.allow(usize::from(*size) * 8);
        }
        encoder.begin(&mut block);
        let fields: Vec<_> = part.chunks(6).map(|field| field.split_at(field.len() / 2)).collect();
        for (name, value) in &fields {
            let indexing = match value.first() {
                Some(0..40) => Indexing::Never,
                Some(40..80) => Indexing::Without,
                _ => Indexing::Incremental,
            };
            encoder.field(name, value, indexing, &mut block);
        }
        let read = decoder.decode(&block).expect("an own block");
        if read.left_out == 0 {
            assert!(read.fields.iter().eq(fields.iter().copied()));
        }
        if number < 3 {
            continue;
        }
        let seen = late.decode(&block).expect("an own block");
        for ((name, value), (true_name, true_value)) in seen.fields.parts().zip(fields) {
            assert!(name.identity().is_some() || name.octets() == true_name);
            assert!(value.identity().is_some() || value.octets() == true_value);
        }
    }
}
