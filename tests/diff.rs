//! The diff as a whole: planted differences are found, planted noise is not, and files say so.

#![allow(
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "support/pairs.rs"]
mod pairs;

use std::path::Path;
use std::process::Command;

use pairs::{FAULTS, Plan};
use shadowtap::diff::{Class, Cluster, Totals};

/// Runs the program; its exit code and what it printed.
fn shadowtap(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_shadowtap")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn diff(folder: &Path, flags: &[&str]) -> String {
    let arguments = [&["-q", "diff", folder.to_str().unwrap()], flags].concat();
    let (code, text) = shadowtap(&arguments);
    assert_eq!(code, 0, "{arguments:?}: {text}");
    text
}

fn clusters(folder: &Path) -> Vec<Cluster> {
    let text = std::fs::read_to_string(folder.join("clusters.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn regressions(folder: &Path) -> Vec<Cluster> {
    clusters(folder).into_iter().filter(|cluster| cluster.class == Class::Regression).collect()
}

fn totals(folder: &Path) -> Totals {
    serde_json::from_slice(&std::fs::read(folder.join("diff.json")).unwrap()).unwrap()
}

fn made(plan: &Plan) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    pairs::make(plan, folder.path());
    folder
}

fn listed(clusters: &[Cluster]) -> Vec<String> {
    clusters
        .iter()
        .map(|c| format!("{} {} {} {} [{}]", c.route, c.kind.name(), c.place, c.shape, c.why))
        .collect()
}

#[test]
fn every_planted_fault_is_one_cluster_and_nothing_else_is() {
    for noise in [0, 1, pairs::NOISES] {
        for samples in [10, 60] {
            let plan = Plan { noise, samples, ..Plan::small() };
            let folder = made(&plan);
            diff(folder.path(), &[]);
            let found = regressions(folder.path());
            for (number, (name, place, shape)) in FAULTS.iter().enumerate() {
                let route = pairs::route(number);
                let of_route: Vec<_> =
                    found.iter().filter(|cluster| cluster.route == route).cloned().collect();
                let expected = |cluster: &Cluster| {
                    cluster.place == *place && (cluster.shape == *shape || *shape == "changed")
                };
                assert!(
                    of_route.len() == 1 && expected(&of_route[0]),
                    "{name} with {noise} noisy places and {samples} samples: {:#?}",
                    listed(&of_route)
                );
                assert_eq!(of_route[0].exchanges, samples as u64, "{name}");
            }
            assert_eq!(found.len(), FAULTS.len(), "{noise} noisy places: {:#?}", listed(&found));
            let totals = totals(folder.path());
            assert_eq!(totals.compared as usize, plan.exchanges());
            assert_eq!(totals.mismatched as usize, FAULTS.len() * samples);
        }
    }
}

#[test]
fn two_answers_are_enough_to_know_random_ids() {
    for samples in [2, 60] {
        let folder = made(&Plan { ids: pairs::IDS, samples, ..Plan::small() });
        diff(folder.path(), &[]);
        let found = regressions(folder.path());
        for (number, (name, place, _)) in FAULTS.iter().enumerate() {
            let is_it = |c: &&Cluster| c.route == pairs::route(number) && c.place == *place;
            assert_eq!(found.iter().filter(is_it).count(), 1, "{name}: {:#?}", listed(&found));
        }
        assert_eq!(found.len(), FAULTS.len(), "{samples} samples: {:#?}", listed(&found));
    }
}

#[test]
fn a_fault_of_some_requests_is_named_by_what_they_share() {
    let folder =
        made(&Plan { faults: vec![0], clean: 0, samples: 200, faulty_targets: 2, ..Plan::small() });
    diff(folder.path(), &[]);
    let found = regressions(folder.path());
    assert_eq!(found.len(), 1, "{:#?}", listed(&found));
    assert!(found[0].exchanges < found[0].compared, "{}", found[0].exchanges);
    assert!(
        found[0].repeat.starts_with("curl -sS --globoff http://v2.test:8080/bababa/"),
        "{}",
        found[0].repeat
    );
}

#[test]
fn a_change_of_many_routes_is_told_on_each_and_listed_once() {
    let lost = FAULTS.iter().position(|(name, ..)| *name == "header-lost").unwrap();
    let folder = made(&Plan { faults: vec![lost, lost, lost, 0], clean: 2, ..Plan::small() });
    diff(folder.path(), &[]);
    let found: Vec<(String, u64)> =
        regressions(folder.path()).into_iter().map(|c| (c.place, c.also_on)).collect();
    assert_eq!(
        found.iter().filter(|(place, also_on)| place == "x-api-version" && *also_on == 2).count(),
        3,
        "{found:?}"
    );
    assert_eq!(found.iter().filter(|(_, also_on)| *also_on == 0).count(), 1, "{found:?}");
    let (code, _) = shadowtap(&["report", folder.path().to_str().unwrap()]);
    assert_eq!(code, 0);
    let text = std::fs::read_to_string(folder.path().join("summary.md")).unwrap();
    let table = text.split("### Differences").nth(1).unwrap().split("<details>").next().unwrap();
    assert_eq!(table.matches("<code>missing ").count(), 1, "{table}");
    assert!(
        table.contains("the same on 2 more routes") && table.contains("2 clusters more"),
        "{table}"
    );
}

#[test]
fn the_output_does_not_depend_on_threads() {
    let folder = made(&Plan { noise: pairs::NOISES, samples: 20, ..Plan::small() });
    let files = [
        "clusters.jsonl",
        "differences.jsonl",
        "mismatches.csv",
        "noise.jsonl",
        "routes.json",
        "diff.json",
    ];
    let mut before: Option<Vec<Vec<u8>>> = None;
    for threads in ["1", "2", "7"] {
        diff(folder.path(), &["--threads", threads, "--show-secrets"]);
        let now =
            files.iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect();
        if let Some(before) = &before {
            for ((name, one), other) in files.iter().zip(before).zip(&now) {
                assert!(one == other, "{name} differs with {threads} threads");
            }
        }
        before = Some(now);
    }
    assert!(!folder.path().join("differences.part").exists());
}

#[test]
fn approved_differences_pass_until_they_expire_and_stay_visible() {
    let folder = made(&Plan { faults: vec![0, 4], clean: 1, ..Plan::small() });
    let dir = folder.path().to_str().unwrap();
    let file = folder.path().join("approved.toml");
    let file = file.to_str().unwrap();
    diff(folder.path(), &[]);
    let id = regressions(folder.path())[0].id.clone();
    let approve = |expires: &str| {
        shadowtap(&[
            "approve",
            dir,
            &id,
            "--reason",
            "totals are in cents",
            "--expires",
            expires,
            "--file",
            file,
        ])
    };
    assert_eq!(approve("2999-12-31").0, 0);
    assert_eq!(approve("2999-12-31").0, 2, "it is there already");
    diff(folder.path(), &["--approved", file]);
    let after = clusters(folder.path());
    let approved: Vec<_> =
        after.iter().filter(|cluster| cluster.class == Class::Approved).collect();
    assert_eq!(
        (after.len(), approved.len(), approved[0].differences),
        (2, 1, 10),
        "{:#?}",
        listed(&after)
    );
    assert!(approved[0].why.contains("totals are in cents"));
    assert_eq!(approved[0].id, id, "it is the same cluster");
    let totals_now = totals(folder.path());
    assert_eq!((totals_now.mismatched, totals_now.approved), (10, 10));

    let text = std::fs::read_to_string(file).unwrap().replace("2999", "2020");
    std::fs::write(
        file,
        format!(
            "{text}\n[[approved]]\nroute = \"GET /\"\nkind = \"body\"\nplace = \"$\"\n\
            shape = \"x\"\nreason = \"gone\"\n"
        ),
    )
    .unwrap();
    let printed = diff(folder.path(), &["--approved", file]);
    let totals_now = totals(folder.path());
    assert_eq!(
        (totals_now.mismatched, totals_now.approved, totals_now.expired_approvals.len()),
        (20, 0, 1)
    );
    assert_eq!(totals_now.unmatched_approvals.len(), 1);
    assert!(printed.contains("have expired") && printed.contains("(gone)"), "{printed}");

    for wrong in [
        &["approve", dir, "zzz", "--reason", "x"][..],
        &["approve", dir, &id, "--reason", " "],
        &["approve", dir, &id, "--reason", "x", "--expires", "soon"],
    ] {
        assert_eq!(shadowtap(wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn rules_take_differences_and_those_that_take_none_are_listed() {
    let folder = made(&Plan { faults: vec![0, 4], clean: 1, ..Plan::small() });
    let config = folder.path().join("shadowtap.toml");
    std::fs::write(
        &config,
        "[[diff.ignore]]\nroute = 'GET /bababa/{id}'\npath = '$..price'\n[[diff.match]]\n\
         path = '$.nowhere'\ntolerance = 1\n",
    )
    .unwrap();
    let printed = diff(folder.path(), &["--config", config.to_str().unwrap()]);
    assert_eq!(regressions(folder.path()).len(), 1);
    assert_eq!(
        totals(folder.path()).unmatched_rules,
        ["[[diff.match]] path = \"$.nowhere\", tolerance = 1"]
    );
    assert!(printed.contains("matched nothing"), "{printed}");
    std::fs::write(&config, "[[diff.ignore]]\npath = '$['\n").unwrap();
    let dir = folder.path().to_str().unwrap();
    let (code, text) = shadowtap(&["diff", dir, "--config", config.to_str().unwrap()]);
    assert!(code == 2 && text.contains("[[diff.ignore]]"), "{text}");
}

#[test]
fn noise_that_was_found_can_be_given_to_the_next_run() {
    let folder = made(&Plan { noise: 4, samples: 10, faults: vec![], clean: 2, ..Plan::small() });
    diff(folder.path(), &[]);
    let noise = std::fs::read_to_string(folder.path().join("noise.jsonl")).unwrap();
    assert!(
        noise.contains("\"$.load\"") && noise.contains("\"self\"") && noise.contains("\"shape\""),
        "{noise}"
    );
    // Of two samples of a target that is asked for once nothing can be learned from v1 itself.
    let fresh =
        made(&Plan { noise: 4, samples: 1, faults: vec![], clean: 2, seed: 9, ..Plan::small() });
    diff(fresh.path(), &[]);
    assert_eq!(regressions(fresh.path()).len(), 2, "{:#?}", listed(&regressions(fresh.path())));
    let file = folder.path().join("noise.jsonl");
    diff(fresh.path(), &["--noise", file.to_str().unwrap()]);
    assert_eq!(listed(&regressions(fresh.path())), [""; 0]);
}

/// Writes `to` as a compressed twin of `from` and takes `from` away.
fn compress(from: &Path) {
    let bytes = zstd::encode_all(&std::fs::read(from).unwrap()[..], 1).unwrap();
    std::fs::write(from.with_extension("jsonl.zst"), bytes).unwrap();
    std::fs::remove_file(from).unwrap();
}

#[test]
fn compressed_records_are_read_by_every_command() {
    let folder = made(&Plan { faults: vec![0], clean: 1, ..Plan::small() });
    diff(folder.path(), &[]);
    let before = clusters(folder.path());
    for name in ["exchanges.jsonl", "outcomes.jsonl"] {
        compress(&folder.path().join(name));
    }
    diff(folder.path(), &[]);
    assert_eq!(clusters(folder.path()), before);
    for command in ["report", "gate"] {
        let (code, text) = shadowtap(&["-q", command, folder.path().to_str().unwrap()]);
        assert!([0, 1, 5].contains(&code), "{command}: {text}");
    }
    let into = folder.path().join("merged");
    let (code, text) =
        shadowtap(&["-q", "merge", folder.path().to_str().unwrap(), "-o", into.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    diff(&into, &[]);
    let counts = |clusters: &[Cluster]| {
        clusters.iter().map(|c| (c.id.clone(), c.differences)).collect::<Vec<_>>()
    };
    assert_eq!(counts(&clusters(&into)), counts(&before));
    for left in std::fs::read_dir(folder.path()).unwrap() {
        assert!(
            !left.unwrap().file_name().to_string_lossy().ends_with("part"),
            "an unpacked file was left"
        );
    }
}

/// v1 in staging shows which places vary, where the recording has no equal requests; and what it
/// does not vary in stays.
#[test]
fn a_baseline_tells_noise_from_faults() {
    let plan = Plan {
        noise: 16,
        samples: 40,
        distinct: true,
        faults: vec![0, 2, 7],
        clean: 2,
        ..Plan::small()
    };
    let folder = made(&plan);
    diff(folder.path(), &[]);
    let without = regressions(folder.path()).len();
    assert!(without > 3, "a recording without equal requests tells nothing of noise: {without}");
    let baseline = made(&Plan { faults: vec![], clean: 5, replay_seed: 99, ..plan });
    std::fs::copy(baseline.path().join("outcomes.jsonl"), folder.path().join("baseline.jsonl"))
        .unwrap();
    diff(folder.path(), &[]);
    let found = regressions(folder.path());
    assert_eq!(found.len(), 3, "{:#?}", listed(&found));
    let noise = std::fs::read_to_string(folder.path().join("noise.jsonl")).unwrap();
    assert!(
        noise.contains("\"baseline\"") && noise.contains("v1 in staging differs as well"),
        "{noise}"
    );
}

/// A place that varies by itself is still compared: its type, its presence, and whether it varies
/// at all.
#[test]
fn a_change_at_a_noisy_place_is_found() {
    for (fault, place, shape) in pairs::NOISY_FAULTS {
        for samples in [10, 60] {
            let plan = Plan {
                faults: vec![],
                noisy_fault: Some(fault),
                noise: pairs::NOISES,
                samples,
                clean: 3,
                ..Plan::small()
            };
            let folder = made(&plan);
            diff(folder.path(), &[]);
            let found = regressions(folder.path());
            let fits =
                |c: &Cluster| c.place == place && c.shape == shape && c.exchanges == samples as u64;
            assert!(
                found.len() == 3 && found.iter().all(fits),
                "{fault}, {samples} samples: {:#?}",
                listed(&found)
            );
        }
    }
}

#[test]
fn an_approval_that_has_ended_can_be_renewed_and_errors_are_one_line() {
    let folder = made(&Plan { faults: vec![0], clean: 1, ..Plan::small() });
    let dir = folder.path().to_str().unwrap();
    diff(folder.path(), &[]);
    let id = regressions(folder.path())[0].id.clone();
    let path = folder.path().join("approved.toml");
    let file = path.to_str().unwrap();
    let approve = || {
        shadowtap(&[
            "approve",
            dir,
            &id,
            "--reason",
            "cents",
            "--expires",
            "2999-12-31",
            "--file",
            file,
        ])
    };
    assert_eq!(approve().0, 0);
    let old = std::fs::read_to_string(&path).unwrap().replace("2999", "2020");
    std::fs::write(&path, format!("{old}# kept\n")).unwrap();
    assert_eq!(approve().0, 0, "renewed");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("2999-12-31") && !text.contains("2020-12-31") && text.contains("# kept"),
        "{text}"
    );
    diff(folder.path(), &["--approved", file]);
    assert_eq!((totals(folder.path()).mismatched, totals(folder.path()).approved), (0, 10));

    std::fs::write(&path, "[[approved]]\nroute = 1\n").unwrap();
    let config = folder.path().join("shadowtap.toml");
    std::fs::write(&config, "[[diff.match]]\npath = '$.a'\nmatches = '('\n").unwrap();
    for wrong in [
        &["diff", dir, "--approved", file][..],
        &["diff", dir, "--config", config.to_str().unwrap()],
    ] {
        let (code, text) = shadowtap(wrong);
        assert!(
            code == 2 && !text.contains("\\n") && text.trim_end().lines().count() == 1,
            "{text}"
        );
    }
}

#[test]
fn every_exchange_is_counted_where_outcomes_are_missing() {
    let plan = Plan { faults: vec![0], clean: 1, samples: 20, ..Plan::small() };
    let folder = made(&plan);
    let path = folder.path().join("outcomes.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> =
        text.lines().enumerate().filter(|(at, _)| at % 3 != 1).map(|(_, line)| line).collect();
    std::fs::write(&path, kept.join("\n")).unwrap();
    diff(folder.path(), &[]);
    let totals = totals(folder.path());
    let missing = plan.exchanges().div_ceil(3) as u64;
    assert_eq!(totals.not_compared, [("not-replayed".to_owned(), missing)].into());
    assert_eq!(totals.compared + missing, plan.exchanges() as u64);
    assert_eq!(totals.routes.iter().map(|route| route.compared).sum::<u64>(), totals.compared);
    assert_eq!(totals.routes.iter().map(|route| route.mismatched).sum::<u64>(), totals.mismatched);
}

#[test]
fn damaged_and_hostile_files_are_counted_and_end_in_no_panic() {
    let folder = made(&Plan { samples: 4, ..Plan::small() });
    for name in ["exchanges.jsonl", "outcomes.jsonl"] {
        let path = folder.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let cut = bytes.len() - 2_000;
        bytes.truncate(cut);
        bytes.extend_from_slice(b"\nno json\n{\"id\":\"1-\n\xff\xfe\n{}\n");
        std::fs::write(&path, bytes).unwrap();
    }
    let printed = shadowtap(&["diff", folder.path().to_str().unwrap()]);
    assert_eq!(printed.0, 0, "{}", printed.1);
    assert!(
        printed.1.contains("lines of exchanges.jsonl are damaged")
            && printed.1.contains("no last line"),
        "{}",
        printed.1
    );
    std::fs::write(folder.path().join("exchanges.jsonl"), b"").unwrap();
    assert_eq!(shadowtap(&["diff", folder.path().to_str().unwrap()]).0, 3);
    assert_eq!(shadowtap(&["diff", "/nowhere"]).0, 3);
}

/// The demo's capture against the second version of its shop: one cause for each planted fault of
/// the answers, none for the noise, and no rule written by hand. (The slow route and the double
/// charge are for the report and the mock.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_has_one_cause_for_each_planted_fault() {
    use shadowtap::demo::provider::Provider;
    use shadowtap::demo::{ShopFaults, shop};

    for (faults, expected) in [
        (ShopFaults::NONE, &[][..]),
        (
            ShopFaults::ALL,
            &[
                "GET /carts/{id} body $.item_count renamed item_count→items_count",
                "GET /products/{id} body $.price changed",
                "GET /search status status 200→500",
                "POST /gifts missing $.gift removed",
            ],
        ),
    ] {
        let provider = Provider::start().await.unwrap();
        let settings = shop::ShopSettings {
            version: 2,
            faults,
            provider: provider.address(),
            avoid_ports: vec![],
        };
        let shop = shop::start(settings).await.unwrap();
        let target = format!("http://{}", shop.address());
        let found = tokio::task::spawn_blocking(move || {
            let folder = tempfile::tempdir().unwrap();
            let run = folder.path().join("run");
            let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/demo.pcap");
            let replayed = shadowtap(&[
                "-q",
                "replay",
                capture.to_str().unwrap(),
                "--target",
                &target,
                "--host",
                "shop.example",
                "--unsafe-methods",
                "--speed",
                "2",
                "-o",
                run.to_str().unwrap(),
            ]);
            assert_eq!(replayed.0, 0, "{}", replayed.1);
            // The provider itself stands behind v2 here and draws the ids of charges in the order
            // in which they come. In a real run its mock answers what was recorded.
            let config = folder.path().join("shadowtap.toml");
            std::fs::write(&config, "[[diff.ignore]]\npath = '$.charge'\n").unwrap();
            diff(&run, &["--config", config.to_str().unwrap()]);
            regressions(&run)
        })
        .await
        .unwrap();
        let mut causes: Vec<String> = found
            .iter()
            .map(|c| format!("{} {} {} {}", c.route, c.kind.name(), c.place, c.shape))
            .collect();
        causes.sort();
        assert_eq!(causes, expected);
        if faults == ShopFaults::ALL {
            let only = |place: &str| {
                found
                    .iter()
                    .find(|c| c.place == place)
                    .and_then(|c| c.only_where.clone())
                    .unwrap_or_default()
            };
            assert!(only("status").starts_with("query:q is not ASCII"), "{}", only("status"));
        }
    }
}
