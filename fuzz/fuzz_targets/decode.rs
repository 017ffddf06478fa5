//! Decoding: any frames of any link type, whole or cut by a snap length, give segments inside their
//! frames or a reject, and fragments that are joined give the same.
//!
//! Input: a byte that chooses the link type, a byte that chooses where frames are cut; then frames,
//! each behind its length in two bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shadowtap::capture::{Frame, LinkType};
use shadowtap::decode::fragment::Joined;
use shadowtap::decode::{Decoded, Fragments, HashKey, decode};
use shadowtap::time::Timestamp;

const LINKS: [u16; 16] = [1, 0, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 276, 239, 14, 1000];

fuzz_target!(|data: &[u8]| {
    let [link, cut, frames @ ..] = data else { return };
    let link = LinkType(LINKS[usize::from(*link) % LINKS.len()]);
    let key = HashKey::default();
    let (mut fragments, mut rest, mut number) = (Fragments::default(), frames, 0);
    while let [high, low, more @ ..] = rest {
        let (bytes, behind) =
            more.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(more.len()));
        rest = behind;
        number += 1;
        let captured = if *cut == 0 { bytes } else { &bytes[..bytes.len().min(usize::from(*cut))] };
        let frame = Frame {
            at: Timestamp::from_nanos(number as i64 * 1_000_000_000),
            block: 0,
            start: 0,
            captured: captured.len() as u32,
            length: bytes.len() as u32,
            link,
        };
        match decode(&frame, captured, number, key) {
            Ok(Decoded::Segment(segment)) => check(&segment, captured),
            Ok(Decoded::Fragment(fragment)) => {
                let (start, length) = (fragment.start as usize, fragment.length as usize);
                let part =
                    captured.get(start..start + length).expect("a fragment lies in its frame");
                if let Joined::Whole(Ok(decoded), joined, _) =
                    fragments.add(&fragment, part, 1, key)
                {
                    // A fragment inside of fragments is left to the caller, who rejects it.
                    if let Decoded::Segment(segment) = decoded {
                        check(&segment, &joined);
                    }
                }
            }
            Ok(Decoded::Datagram(datagram)) => {
                let (start, length) = (datagram.start as usize, datagram.captured as usize);
                assert!(captured.get(start..start + length).is_some(), "it lies in its frame");
                assert!(datagram.captured <= datagram.length);
            }
            Err(reject) => assert!(!reject.to_string().is_empty()),
        }
    }
});

fn check(segment: &shadowtap::decode::Segment, bytes: &[u8]) {
    assert!(segment.captured <= segment.length);
    let start = segment.start as usize;
    assert!(
        segment.captured == 0 || bytes.get(start..start + segment.captured as usize).is_some(),
        "outside of its frame"
    );
    assert!(segment.pair.low <= segment.pair.high);
}
