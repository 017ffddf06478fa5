//! The order against its rule written plainly, whatever the blocks.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::capture::file::{self, Input};

const AHEAD: usize = 2_000;

/// A pcap of packets of `bytes` with these times, in microseconds; each names its place.
fn pcap(times: &[i64], bytes: usize) -> Vec<u8> {
    let mut out = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend_from_slice(&[0, 0, 4, 0, 101, 0, 0, 0]);
    for (place, &micros) in (0u32..).zip(times) {
        let (seconds, part) = (micros / 1_000_000, micros % 1_000_000);
        for field in [seconds as u32, part as u32, bytes as u32, bytes as u32] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&place.to_le_bytes());
        out.resize(out.len() + bytes - 4, 0);
    }
    out
}

/// The places of all packets in order, and how many were late.
fn ordered(capture: Vec<u8>, block_bytes: usize) -> (Vec<u32>, u64) {
    let opened = file::from_reader("memory", Box::new(Cursor::new(capture)), None);
    let Ok(Input::Packets(file)) = opened else { panic!("a capture") };
    let mut ordered = Ordered::new(file, 0, AHEAD);
    let (mut run, mut pool, mut places) = (OrderedRun::default(), Pool::default(), Vec::new());
    while ordered.next_run(&mut run, block_bytes, &mut pool) {
        places.extend(run.frames.iter().map(|frame| {
            let bytes = &run.blocks[frame.block as usize][frame.start as usize..];
            u32::from_le_bytes(bytes[..4].try_into().expect("four bytes"))
        }));
        run.blocks.drain(..).for_each(|block| pool.give_back(block, 4));
    }
    (places, ordered.late())
}

/// The rule: one packet after the other, in a list.
fn by_the_rule(times: &[i64], bytes: usize) -> (Vec<u32>, u64) {
    let (mut list, mut out) = (Vec::<(i64, u32)>::new(), Vec::new());
    let (mut latest, mut window, mut lates) = (i64::MIN, 0, 0);
    for (place, &time) in (0u32..).zip(times) {
        let late = latest.saturating_sub(time);
        if late > limits::DISORDER_NS / 1_000 {
            out.extend(list.drain(..).map(|(_, place)| place));
            latest = time;
        } else if late > 0 {
            lates += 1;
            window = window.max((2 * late).min(limits::DISORDER_NS / 1_000));
        }
        latest = latest.max(time);
        list.push((time, place));
        list.sort_unstable();
        while list.len() * (bytes + 64) > AHEAD && list[0].0 <= latest - window {
            out.push(list.remove(0).1);
        }
    }
    out.extend(list.drain(..).map(|(_, place)| place));
    (out, lates)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_order_depends_on_packets_and_times_alone(
        steps in prop::collection::vec(
            prop_oneof![
                40 => 0i64..2_000,
                4 => -3_000i64..0,
                1 => -900_000i64..0,
                1 => -20_000_000i64..10_000_000,
            ],
            1..400,
        ),
        bytes in prop_oneof![4usize..60, 400usize..1_500],
    ) {
        let times = steps.iter().scan(1_000_000_000, |time, step| {
            *time += step;
            Some(*time)
        });
        let times: Vec<i64> = times.collect();
        let want = by_the_rule(&times, bytes);
        for block in [30, 300, 5_000, 1 << 20] {
            prop_assert_eq!(&ordered(pcap(&times, bytes), block), &want, "blocks of {}", block);
        }
    }
}

#[test]
fn few_packets_that_wait_do_not_hold_all_blocks() {
    // Every thousandth packet is of a clock that is ahead: it waits for all others.
    let time = |n: i64| 1_000_000_000 + n + if n % 1_000 == 0 { 4_000_000 } else { 0 };
    let times: Vec<i64> = (0..40_000).map(time).collect();
    let opened = file::from_reader("memory", Box::new(Cursor::new(pcap(&times, 1_000))), None);
    let Ok(Input::Packets(file)) = opened else { panic!("a capture") };
    let mut ordered = Ordered::new(file, 0, AHEAD);
    let (mut run, mut pool, mut most, mut got) = (OrderedRun::default(), Pool::default(), 0, 0);
    while ordered.next_run(&mut run, 1 << 16, &mut pool) {
        most = most.max(ordered.waiting.held_bytes());
        got += run.frames.len();
    }
    assert_eq!(got, times.len());
    assert!(most < 3 * limits::DISORDER_BYTES, "{most} bytes of blocks were held");
}
