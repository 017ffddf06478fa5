//! Readers of capture files: any bytes give packets up to the damage, the same ones whatever the
//! length of the blocks, and never a frame outside of its block.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use shadowtap::capture::file::{self, FileDamage, Input};
use shadowtap::capture::merge::CaptureMerge;
use shadowtap::capture::{Batch, PacketSource};

/// What compressed input may come to, in packets: zeros shrink by a factor of thousands.
const PACKETS: usize = 20_000;

type Packet = (i64, u32, u16, Vec<u8>);

fuzz_target!(|data: &[u8]| {
    let Some((large, warnings)) = read(data, 1 << 20) else { return };
    let Some((small, same)) = read(data, 64) else {
        panic!("the kind of a file does not depend on blocks")
    };
    assert_eq!(large, small, "the length of blocks shows");
    assert_eq!(warnings, same, "the length of blocks shows in the damage");
});

fn read(data: &[u8], block_bytes: usize) -> Option<(Vec<Packet>, Option<FileDamage>)> {
    let Ok(Input::Packets(file)) =
        file::from_reader("fuzz", Box::new(Cursor::new(data.to_vec())), None)
    else {
        return None;
    };
    let mut damage = None;
    let mut packets = Vec::new();
    let mut source = CaptureMerge::with_block_bytes(vec![(file, 0)], block_bytes);
    let mut batch = Batch::default();
    while source.fill(&mut batch).expect("damage is no error") {
        assert_eq!(batch.first, packets.len() as u64 + 1);
        for frame in &batch.frames {
            assert!(frame.captured <= frame.length);
            packets.push((
                frame.at.nanos(),
                frame.length,
                frame.link.0,
                batch.bytes(frame).to_vec(),
            ));
            if packets.len() == PACKETS {
                return Some((packets, None));
            }
        }
    }
    let damaged = source.ledger().noted.contains_key("damaged-inputs");
    assert_eq!(damaged, !source.warnings().is_empty(), "damage is in the ledger and told");
    if damaged {
        damage = Some(FileDamage {
            offset: 0,
            packet: packets.len() as u64,
            what: String::new(),
            unused: 0,
            growing: false,
        });
    }
    Some((packets, damage))
}
