//! Figures add up: over passes, over shards, and as other readers of histograms see them.

use super::*;

#[test]
fn histograms_are_read_back_by_hdrhistogram_and_agree_with_the_tables() {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun { baseline: true, ..faulty() }.write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let log = std::fs::read(run.join("latency.hlog")).unwrap();
    let mut found = std::collections::BTreeMap::new();
    let mut intervals = 0;
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap() {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(interval.encoded_histogram())
                .unwrap();
            let histogram: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            let tag = interval.tag().unwrap().as_str().to_owned();
            intervals += usize::from(tag == "v2:ALL");
            match found.entry(tag) {
                std::collections::btree_map::Entry::Vacant(first) => drop(first.insert(histogram)),
                // All routes have an interval a second.
                std::collections::btree_map::Entry::Occupied(mut known) => {
                    known.get_mut().add(&histogram).unwrap();
                }
            }
        }
    }
    let mut table = csv::Reader::from_path(run.join("latency.csv")).unwrap();
    let mut rows = 0;
    for row in table.records() {
        let row = row.unwrap();
        if rows == 0 {
            assert_eq!(&row[0], "ALL", "all routes come first");
        }
        rows += 1;
        if &row[2] != "sent" {
            continue;
        }
        let histogram = &found[&format!("{}:{}", &row[1], row[0].replace(' ', "%20"))];
        assert_eq!(histogram.len().to_string(), row[3], "{row:?}");
        for (cell, quantile) in [(7, 0.5), (8, 0.9), (9, 0.95), (10, 0.99), (11, 0.999)] {
            let from_table = (row[cell].parse::<f64>().unwrap() * 1e6).round() as u64;
            let from_log = histogram.value_at_quantile(quantile);
            assert!(
                histogram.equivalent(from_table, from_log),
                "{row:?}: {from_table} and {from_log} at {quantile}"
            );
        }
    }
    let seconds = std::fs::read_to_string(run.join("timeline.csv")).unwrap();
    assert_eq!(intervals, seconds.lines().filter(|line| line.contains(",v2,")).count());
    // The percentiles beside it are of the same answers.
    for side in ["v1", "v2", "baseline"] {
        let table = std::fs::read_to_string(run.join(format!("latency.{side}.hgrm"))).unwrap();
        let all = found[&format!("{side}:ALL")].len();
        assert!(table.contains(&format!("Total count    = {all:>12}]")), "{table}");
        let last = table.lines().rfind(|line| !line.starts_with('#')).unwrap();
        assert_eq!(last.split_whitespace().nth(2).unwrap(), all.to_string(), "{table}");
    }
    // ALL and four routes, three sides, two starts.
    assert_eq!((rows, found.len()), (30, 15));
}

/// Who waited till the end of the patience waited, too: without them a v2 that hangs would look
/// fast.
#[test]
fn requests_that_timed_out_count_from_due_with_the_time_waited() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    MadeRun {
        answer: |number, _| if number % 50 == 0 { Err(FailureKind::Timeout) } else { Ok(200) },
        ..MadeRun::default()
    }
    .write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let table = std::fs::read_to_string(run.join("latency.csv")).unwrap();
    let cell = |from: &str, column: usize| -> f64 {
        let row = table.lines().find(|line| line.starts_with(&format!("ALL,v2,{from},"))).unwrap();
        row.split(',').nth(column).unwrap().parse().unwrap()
    };
    assert_eq!((cell("sent", 3), cell("due", 3), cell("sent", 4)), (1_176.0, 1_200.0, 24.0));
    assert!(cell("due", 10) >= 30_000.0 && cell("sent", 10) < 1_000.0, "{table}");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        page.contains("24 requests of v2 timed out: from due they count with the time waited"),
        "the page says so"
    );
}

/// HdrHistogram's own JavaScript reads the log; skipped where node or the package cannot be had.
#[test]
fn the_javascript_of_hdr_histogram_reads_the_log() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hlog");
    std::fs::create_dir_all(&folder).unwrap();
    let package = folder.join("node_modules/hdr-histogram-js/package.json");
    if !package.exists() {
        let words = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--prefix",
            ".",
            "hdr-histogram-js@3",
        ];
        let _ = Command::new("npm").args(words).current_dir(&folder).output();
    }
    if !package.exists() {
        eprintln!("skipped: npm or its package hdr-histogram-js cannot be had");
        return;
    }
    let script = folder.join("hlog.mjs");
    std::fs::write(&script, include_str!("../support/hlog.mjs")).unwrap();
    let run = folder.join("run");
    MadeRun { baseline: true, ..faulty() }.write(&run);
    assert_eq!(code(&shadowtap(&["report"], &run)), 0);
    let output = Command::new("node").arg(&script).arg(&run).output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(
        text(&output.stdout).contains("15 histograms read, 0 differ"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_run_joined_in_several_passes_is_the_same() {
    use shadowtap::measure::{RunRecords, measure};

    let folder = tempfile::tempdir().unwrap();
    MadeRun { baseline: true, ..faulty() }.write(folder.path());
    let file = |name: &str| folder.path().join(name);
    let routes: shadowtap::route::Routes =
        serde_json::from_slice(&std::fs::read(file("routes.json")).unwrap()).unwrap();
    let (exchanges, outcomes, baseline) =
        (file("exchanges.jsonl"), file("outcomes.jsonl"), file("baseline.jsonl"));
    let summary = |most_entries| {
        let records = RunRecords {
            exchanges: &exchanges,
            outcomes: &outcomes,
            baseline: Some(&baseline),
            route: &|method, target, operation| routes.route_of(method, target, operation),
            most_entries,
        };
        measure(&records, |_| ()).unwrap()
    };
    let once = summary(1_000_000);
    assert_eq!((once.recorded(), once.replayed, once.lanes), (1_200, 1_200, 100));
    let often = summary(100);
    assert_eq!(once, often);
    std::fs::rename(&exchanges, file("exchanges.jsonl.plain")).unwrap();
    let plain = std::fs::read(file("exchanges.jsonl.plain")).unwrap();
    std::fs::write(file("exchanges.jsonl.zst"), zstd::bulk::compress(&plain, 3).unwrap()).unwrap();
    assert_eq!(once, summary(1_000_000), "compressed records are the same records");
}

/// Splits a run as two replays with `--shard` would have left it, and merges it.
#[test]
fn shards_add_up_to_the_run_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, made) = (folder.path().join("whole"), folder.path().join("made"));
    faulty().write(&whole);
    let read = |path: &Path, name: &str| text(&std::fs::read(path.join(name)).unwrap());
    for (shard, name) in ["1/2", "2/2"].iter().zip(["one", "two"]) {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::copy(whole.join("exchanges.jsonl"), path.join("exchanges.jsonl")).unwrap();
        let mut info: serde_json::Value = serde_json::from_str(&read(&whole, "run.json")).unwrap();
        info["settings"]["shard"] = (*shard).into();
        std::fs::write(path.join("run.json"), info.to_string()).unwrap();
        // The second shard's clock starts 100 ms later, so its records count 100 ms less.
        let late = i64::from(name == "two") * 100_000_000;
        let mut out = Vec::new();
        let (mut mine, mut others) = (0, 0);
        for line in read(&whole, "outcomes.jsonl").lines() {
            match shadowtap::record::outcomes::read(line.as_bytes()).unwrap() {
                shadowtap::record::outcomes::OutcomeLine::Header(mut header) => {
                    header.started = header.started.plus(late);
                    shadowtap::record::exchanges::write_line(&mut out, &header);
                }
                shadowtap::record::outcomes::OutcomeLine::Outcome(mut outcome) => {
                    if (outcome.lane % 2 == 1) != (name == "two") {
                        others += 1;
                        continue;
                    }
                    mine += 1;
                    outcome.due_ns -= late;
                    let Outcome { sent_ns, first_byte_ns, last_byte_ns, failed_ns, .. } =
                        &mut *outcome;
                    for at in
                        [sent_ns, first_byte_ns, last_byte_ns, failed_ns].into_iter().flatten()
                    {
                        *at -= late;
                    }
                    shadowtap::record::outcomes::write(&mut out, &outcome);
                }
                shadowtap::record::outcomes::OutcomeLine::End(mut end) => {
                    end.ledger = shadowtap::ledger::Ledger::default();
                    end.ledger.take(mine);
                    end.ledger.reject("other-shard", others);
                    shadowtap::record::exchanges::write_line(&mut out, &*end);
                }
            }
        }
        std::fs::write(path.join("outcomes.jsonl"), out).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
        .args(["merge", "one", "two", "-o", "made"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("2 shards, 1200 outcomes"), "{}", text(&output.stdout));
    for name in ["diff.json", "routes.json", "clusters.jsonl"] {
        std::fs::copy(whole.join(name), made.join(name)).unwrap();
    }
    for run in [&whole, &made] {
        assert_eq!(code(&shadowtap(&["report"], run)), 0);
    }
    assert_eq!(read(&whole, "latency.csv"), read(&made, "latency.csv"));
    assert_eq!(read(&whole, "timeline.csv"), read(&made, "timeline.csv"));
    let ledger = |path: &Path| {
        let summary: serde_json::Value = serde_json::from_str(&read(path, "summary.json")).unwrap();
        summary["ledger"]["replay"].clone()
    };
    assert_eq!(ledger(&whole), ledger(&made), "what the other shard sent is not lost");

    let third = folder.path().join("third");
    std::fs::create_dir(&third).unwrap();
    for name in ["exchanges.jsonl", "outcomes.jsonl", "run.json"] {
        std::fs::copy(folder.path().join("two").join(name), third.join(name)).unwrap();
    }
    let info = read(&third, "run.json").replace("\"2/2\"", "\"3/3\"");
    std::fs::write(third.join("run.json"), info).unwrap();
    for (folders, why) in [
        (["one", "one"], "is shard 1/2 once more"),
        (["one", "whole"], "is no shard but a whole run"),
        (["whole", "one"], "is a shard of what whole holds whole"),
        (["one", "third"], "is shard 3/3 and one is shard 1/2: they overlap"),
    ] {
        let before = read(&made, "outcomes.jsonl");
        let twice = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args(["merge", folders[0], folders[1], "-o", "made", "--force"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = text(&twice.stderr);
        assert_eq!(code(&twice), 2, "{said}");
        assert!(said.contains(why) && said.contains("would count twice"), "{said}");
        assert_eq!(before, read(&made, "outcomes.jsonl"), "what was there stays");
    }
}
