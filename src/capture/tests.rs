//! Files as they come: in small blocks, cut at every byte, corrupt, compressed, several at once.

use std::io::{Cursor, Write as _};

use super::file::{Input, from_reader};
use super::merge::CaptureMerge;
use super::*;

/// A pcap of packets: seconds and bytes.
fn pcap(packets: &[(u32, Vec<u8>)]) -> Vec<u8> {
    let mut out =
        vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0];
    for (second, bytes) in packets {
        for field in [*second, 0, bytes.len() as u32, bytes.len() as u32 + 1] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(bytes);
    }
    out
}

fn packets(lengths: &[usize]) -> Vec<(u32, Vec<u8>)> {
    lengths.iter().enumerate().map(|(n, &length)| (n as u32, vec![n as u8; length])).collect()
}

fn open(name: &str, bytes: Vec<u8>) -> Result<Input, CaptureError> {
    from_reader(name, Box::new(Cursor::new(bytes)), None)
}

/// All packets of a source: number, seconds, bytes.
fn all(source: &mut CaptureMerge) -> Vec<(u64, i64, Vec<u8>)> {
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    while source.fill(&mut batch).expect("memory can be read") {
        for (number, frame) in (batch.first..).zip(&batch.frames) {
            assert_eq!((frame.length, frame.link), (frame.captured + 1, LinkType::RAW));
            out.push((number, frame.at.nanos() / 1_000_000_000, batch.bytes(frame).to_vec()));
        }
    }
    out
}

fn merged(files: Vec<(Vec<u8>, i64)>, block: usize) -> CaptureMerge {
    let open = |(bytes, skew)| match open("memory", bytes) {
        Ok(Input::Packets(file)) => (file, skew),
        _ => panic!("it is a capture"),
    };
    CaptureMerge::with_block_bytes(files.into_iter().map(open).collect(), block)
}

#[test]
fn the_length_of_blocks_changes_nothing_also_where_a_record_is_longer() {
    let packets = packets(&[10, 0, 300, 5, 70, 1_000, 1, 64, 64]);
    let file = pcap(&packets);
    let want: Vec<_> = packets
        .iter()
        .zip(1..)
        .map(|((second, bytes), n)| (n, i64::from(*second), bytes.clone()))
        .collect();
    for block in [1, 16, 17, 64, 100, 1 << 20] {
        assert_eq!(all(&mut merged(vec![(file.clone(), 0)], block)), want, "blocks of {block}");
    }
}

#[test]
fn a_file_that_is_cut_anywhere_gives_what_is_before_and_says_where() {
    let packets = packets(&[10, 0, 30, 5]);
    let file = pcap(&packets);
    let mut ends = vec![24];
    for (_, bytes) in &packets {
        ends.push(ends[ends.len() - 1] + 16 + bytes.len());
    }
    for cut in 24..=file.len() {
        let mut source = merged(vec![(file[..cut].to_vec(), 0)], 32);
        let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
        assert_eq!(all(&mut source).len(), whole, "cut at {cut}");
        let damaged = !ends.contains(&cut);
        assert_eq!(
            source.ledger().noted.get("damaged-inputs").copied().unwrap_or_default(),
            u64::from(damaged),
            "cut at {cut}"
        );
        if damaged {
            let place = format!(
                "memory: damaged at byte {} behind packet {whole}: it ends inside a record",
                ends[whole]
            );
            assert!(source.warnings()[0].starts_with(&place), "{:?}", source.warnings());
            assert_eq!(
                source.ledger().noted["damaged-input-bytes-unused"],
                (cut - ends[whole]) as u64
            );
        }
    }
}

#[test]
fn a_record_that_makes_no_sense_ends_the_file_and_allocates_nothing() {
    let mut file = pcap(&packets(&[10, 20, 30]));
    file[24 + 26 + 8..24 + 26 + 12].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let mut source = merged(vec![(file, 0)], 1 << 16);
    assert_eq!(all(&mut source).len(), 1);
    assert!(source.warnings()[0].contains("byte 50 behind packet 1"), "{:?}", source.warnings());
}

#[test]
fn compressed_files_are_read_also_where_they_are_cut() {
    let packets: Vec<_> = (0..400u32)
        .map(|n| (n, (0..97).map(|k| (n.wrapping_mul(2_654_435_761) >> (k % 24)) as u8).collect()))
        .collect();
    let file = pcap(&packets);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&file).expect("memory can be written");
    let gzip = gzip.finish().expect("memory can be written");
    let zstd = zstd::encode_all(&file[..], 1).expect("memory can be written");
    let twice = zstd::encode_all(&gzip[..], 1).expect("memory can be written");
    let want = all(&mut merged(vec![(file.clone(), 0)], 4096));
    assert_eq!(want.len(), 400);
    for (name, bytes) in [("gzip", &gzip), ("zstd", &zstd), ("gzip in zstd", &twice)] {
        assert_eq!(all(&mut merged(vec![(bytes.clone(), 0)], 4096)), want, "{name}");
    }
    // A decoder gives a block only once it is whole, so what was compressed last is what a cut
    // takes.
    let middle = file.len() / 2;
    let frames = [zstd::encode_all(&file[..middle], 1), zstd::encode_all(&file[middle..], 1)]
        .map(|frame| frame.expect("memory can be written"));
    for (name, bytes, cut) in
        [("gzip", gzip.clone(), gzip.len() / 2), ("zstd", frames.concat(), frames[0].len() + 20)]
    {
        let mut source = merged(vec![(bytes[..cut].to_vec(), 0)], 4096);
        let got = all(&mut source);
        assert!(
            !got.is_empty() && want.starts_with(&got) && got.len() < 400,
            "{name}: {}",
            got.len()
        );
        assert_eq!(source.ledger().noted["damaged-inputs"], 1, "{name}");
    }
}

#[test]
fn damage_inside_a_compressed_file_and_inside_a_plain_one_is_the_same_for_blocks_of_any_length() {
    let file = pcap(&packets(&[300; 60]));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(&file).expect("memory can be written");
    let mut gzip = gzip.finish().expect("memory can be written");
    // The check sum of all at the end does not fit: what was decoded before is used.
    let end = gzip.len() - 8;
    gzip[end] ^= 1;
    let mut plain = file.clone();
    plain[24 + 20 * 316 + 8..][..4].copy_from_slice(&[0xff; 4]);
    for (name, bytes, least) in [("gzip", gzip, 55), ("plain", plain, 20)] {
        let seen = [64, 1 << 20, 700].map(|block| {
            let mut source = merged(vec![(bytes.clone(), 0)], block);
            let packets = all(&mut source).len();
            (packets, source.ledger(), source.warnings())
        });
        assert!(seen[0].0 >= least && seen[0].0 <= 60 && seen[0].2.len() == 1, "{name}: {seen:?}");
        assert!(seen[0] == seen[1] && seen[1] == seen[2], "{name}: {seen:?}");
    }
}

#[test]
fn several_files_are_merged_by_time_and_skew_and_equal_times_keep_the_order_of_inputs() {
    let at = |seconds: &[u32], mark: u8| {
        pcap(&seconds.iter().map(|&second| (second, vec![mark])).collect::<Vec<_>>())
    };
    for block in [17, 40, 4096] {
        let files = vec![
            (at(&[1, 3, 3, 9], b'a'), 0),
            (at(&[0, 1, 8], b'b'), 2_000_000_000),
            (at(&[], b'c'), 0),
        ];
        let got: Vec<_> = all(&mut merged(files, block))
            .into_iter()
            .map(|(n, second, bytes)| (n, second, bytes[0]))
            .collect();
        let want = [
            (1, 1, b'a'),
            (2, 2, b'b'),
            (3, 3, b'a'),
            (4, 3, b'a'),
            (5, 3, b'b'),
            (6, 9, b'a'),
            (7, 10, b'b'),
        ];
        assert_eq!(got, want, "blocks of {block}");
    }
}

#[test]
fn kinds_are_found_from_the_content() {
    assert!(matches!(
        open("x.pcap", b" \n{\"format\":\"shadowtap/exchanges\"}".to_vec()),
        Ok(Input::Records(_))
    ));
    assert!(matches!(open("x", Vec::new()), Err(CaptureError::Empty { .. })));
    let error = |bytes: &[u8]| {
        open("x.pcap", bytes.to_vec()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(matches!(open("x", b"hello world".to_vec()), Ok(Input::Records(_))), "a text");
    assert_eq!(
        error(b"hello\x00world"),
        "x.pcap is neither a pcap, a pcapng nor a JSONL file: it starts with \"hello\\0world\""
    );
    // Envoy's tap: a segment behind its length or not, whose trace's number is of ten bytes or
    // nine; and a whole trace.
    let id = [0x8d, 0x9a, 0xca, 0xeb, 0xe1, 0x8b, 0xcd, 0x90, 0x8f, 0x01];
    let segment = [&[0x12, 0xca, 0x01, 0x08], &id[..], b"\x12\xbc\x01\x0a\x1a\x0a\x0a:a"].concat();
    let small = [&segment[..12], &[0x41], &segment[14..]].concat();
    let whole = b"\x0a\x80\x04\x0a\x80\x02\x0a\x1a\x0a\x0a:authority\x12\x0cshop.example".to_vec();
    for trace in [segment, small, whole] {
        let delimited = [&[0xcd, 0x01][..], &trace].concat();
        assert!(matches!(open("x.pb", trace), Ok(Input::Records(_))));
        assert!(matches!(open("x.pb", delimited), Ok(Input::Records(_))));
    }
    assert_eq!(error(&pcap(&[])[..20]), "x.pcap: the file ends inside its header at byte 20");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
        which in 0usize..4
    ) {
        let magic = [
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a][..],
            &[0xd4, 0xc3, 0xb2, 0xa1],
            &[0x1f, 0x8b, 8],
            &[0x28, 0xb5, 0x2f, 0xfd],
        ][which];
        if let Ok(Input::Packets(file)) = open("random", [magic, &bytes].concat()) {
            let mut source = CaptureMerge::with_block_bytes(vec![(file, 0)], 64);
            let mut batch = Batch::default();
            while source.fill(&mut batch).expect("memory can be read") {
                for frame in &batch.frames {
                    let _ = batch.bytes(frame);
                }
            }
        }
    }
}

/// A pcap of packets with these times, in microseconds; each holds its place among them.
fn timed(times: &[i64]) -> Vec<u8> {
    let mut out = pcap(&[]);
    for (place, &micros) in (0u32..).zip(times) {
        for field in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, 4, 4] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&place.to_le_bytes());
    }
    out
}

/// Times in microseconds and places of all packets of a source.
fn timed_packets(source: &mut CaptureMerge) -> Vec<(i64, u32)> {
    let (mut batch, mut out) = (Batch::default(), Vec::new());
    while source.fill(&mut batch).expect("memory can be read") {
        let place = |frame| u32::from_le_bytes(batch.bytes(frame).try_into().expect("four bytes"));
        out.extend(batch.frames.iter().map(|frame| (frame.at.nanos() / 1_000, place(frame))));
    }
    out
}

#[test]
fn packets_out_of_the_order_of_their_times_are_put_in_order() {
    let base = 1_000_000_000;
    let even = |n: i64| base + n * 1_000;
    let two_by_turns = |far: i64| -> Vec<i64> {
        // Two interfaces, of which one is written so much later.
        let (mut all, mut late) = ((0..2_000).map(even).collect::<Vec<_>>(), Vec::new());
        for (n, time) in (0..2_000).map(even).enumerate() {
            late.push((n as i64 * 1_000 + far, time + 1));
        }
        let mut keyed: Vec<_> = all.drain(..).map(|time| (time - base, time)).chain(late).collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, time)| time).collect()
    };
    let mut swapped: Vec<i64> = (0..1_000).map(even).collect();
    swapped.chunks_mut(2).for_each(<[i64]>::reverse);
    let mut backwards: Vec<i64> = (0..4_000).map(even).collect();
    backwards.reverse();
    for (name, times) in [
        ("in order", (0..1_000).map(even).collect()),
        ("equal", vec![base; 500]),
        ("swapped", swapped),
        ("10 ms", two_by_turns(10_000)),
        ("200 ms", two_by_turns(200_000)),
        ("1.5 s", two_by_turns(1_500_000)),
        ("backwards", backwards),
    ] {
        let mut want: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
        want.sort();
        for block in [1 << 12, 1 << 20] {
            let mut source = merged(vec![(timed(&times), 0)], block);
            let got = timed_packets(&mut source);
            let late =
                source.ledger().noted.contains_key("packets-out-of-the-order-of-their-times");
            assert_eq!(late, !times.is_sorted(), "{name}");
            assert!(got == want, "{name}, blocks of {block}");
        }
    }
}

#[test]
fn a_clock_that_was_set_back_keeps_the_order_of_the_file() {
    let base = 100_000_000_000;
    let times: Vec<i64> = (0..3_000)
        .map(|n: i64| {
            base + n * 1_000 - 60_000_000 * (n / 700) + if n % 10 == 9 { -1_500 } else { 0 }
        })
        .collect();
    let mut want = Vec::new();
    for (chunk, start) in times.chunks(700).zip((0..).step_by(700)) {
        let mut part: Vec<(i64, u32)> = chunk.iter().copied().zip(start..).collect();
        part.sort();
        want.extend(part);
    }
    for block in [1 << 14, 1 << 20] {
        let got = timed_packets(&mut merged(vec![(timed(&times), 0)], block));
        assert!(got == want, "blocks of {block}");
    }
}

#[test]
fn many_files_are_opened_when_they_are_due_and_closed_behind_their_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    let mut want = Vec::new();
    // Rotated files of 20 s each, one of them compressed, one empty, one with a late packet; and
    // one beside all of them. Given in the reverse order.
    for n in 0..30i64 {
        let mut times: Vec<i64> = (1..=40).map(|m| n * 20_000_000 + m * 500_000).collect();
        times[39] -= if n == 7 { 3_000_000 } else { 0 };
        if n == 8 {
            times.clear();
        }
        want.extend(times.iter().map(|&time| (time, n)));
        let bytes = timed(&times);
        let bytes = if n == 5 { zstd::encode_all(&bytes[..], 1).expect("memory") } else { bytes };
        let path = folder.path().join(format!("{n}.pcap"));
        std::fs::write(&path, bytes).expect("room");
        files.push(path.to_str().expect("a name").to_owned());
    }
    want.sort_unstable();
    files.reverse();
    let mut parked = Vec::new();
    for name in &files {
        let Ok(Input::Packets(mut file)) = file::open(name) else { panic!("a capture") };
        let first = file.park();
        parked.push((file, 0, first));
    }
    let gone = std::path::Path::new(&files[20]).to_owned();
    let mut source = CaptureMerge::of_parked(parked);
    let (mut batch, mut got) = (Batch::default(), Vec::new());
    let mut most = 0;
    while source.fill(&mut batch).expect("it can be read") {
        got.extend(batch.frames.iter().map(|frame| frame.at.nanos() / 1_000));
        most = most.max(source.open_files());
        if got.len() == 40 {
            std::fs::remove_file(&gone).expect("it is there");
        }
    }
    // The tenth was removed before it was due.
    let want: Vec<i64> = want.iter().filter(|(_, n)| *n != 9).map(|(time, _)| *time).collect();
    assert!(got == want);
    assert!(most <= 3, "{most} files were open at once");
    assert!(source.warnings().iter().any(|warning| warning.contains("cannot be opened again")));
}
