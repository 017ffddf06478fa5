//! What `deploy/` says of the program is so: flags that manifests give exist, figures that
//! dashboards and alerts ask for are told.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder that ends so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a text that begin with `start` and go on with what `goes_on` takes.
fn words(text: &str, start: &str, goes_on: impl Fn(char) -> bool) -> BTreeSet<String> {
    let is_inner = |at: &usize| text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(start)
        .filter(|(at, _)| !is_inner(at))
        .map(|(at, _)| {
            let rest = &text[at + start.len()..];
            let end = rest.find(|c: char| !goes_on(c)).unwrap_or(rest.len());
            format!("{start}{}", &rest[..end])
        })
        .collect()
}

#[test]
fn manifests_give_flags_that_their_commands_have() {
    let mut commands = 0;
    for path in files(&root().join("deploy/kubernetes"), ".yaml") {
        let is_code = |line: &&str| !line.trim_start().starts_with('#');
        let code: Vec<String> = text(&path).lines().filter(is_code).map(str::to_owned).collect();
        for block in code.join("\n").split("args:").skip(1) {
            // Up to the next key of the container.
            let block = block.split("env:").next().unwrap_or(block);
            let block = block.split("ports:").next().unwrap_or(block);
            let line = |line: &str| line.split(" #").next().unwrap_or(line).to_owned();
            let code: Vec<String> = block.lines().map(line).collect();
            let code = code.join("\n");
            let mut words =
                code.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
            let command = words.next().expect("arguments begin with a command").to_owned();
            let mut arguments = vec![command.clone()];
            if command == "demo" {
                arguments.extend(words.next().map(str::to_owned));
            }
            if command == "name" {
                continue; // an AnalysisTemplate's own arguments
            }
            arguments.push("--help".to_owned());
            let output = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
                .args(&arguments)
                .output()
                .expect("the program starts");
            let help = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}: {command}", path.display());
            for flag in self::words(&code, "--", |c| c.is_ascii_lowercase() || c == '-') {
                assert!(help.contains(&flag), "{}: {command} has no {flag}", path.display());
            }
            commands += 1;
        }
    }
    assert!(commands >= 12, "{commands} commands were found in the manifests");
}

/// The commands of a text: each from the program's name, or the image's, to the end of its line.
fn commands_of(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| line.split(" #").next().unwrap_or(line));
    lines
        .flat_map(|line| {
            let starts = ["shadowtap ", "\"$IMAGE\" ", " -- "];
            let found = starts.iter().flat_map(|start| {
                line.match_indices(start).map(|(at, start)| line[at + start.len()..].to_owned())
            });
            found.collect::<Vec<_>>()
        })
        .map(|line| line.split(['`', ';', '|', '&']).next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn guides_and_pipelines_give_flags_that_their_commands_have() {
    let deploy = root().join("deploy");
    let mut paths = files(&deploy, ".md");
    paths.extend(files(&deploy.join("ci"), ".yml"));
    paths.push(deploy.join("kubernetes/switch/flagger.yaml"));
    let help = |command: &str| {
        let program = Command::new(env!("CARGO_BIN_EXE_shadowtap"))
            .args([command, "--help"])
            .output()
            .expect("the program starts");
        program.status.success().then(|| String::from_utf8_lossy(&program.stdout).into_owned())
    };
    let mut checked = 0;
    for path in paths {
        for line in commands_of(&text(&path)) {
            let command = line.split_whitespace().next().unwrap_or_default();
            let is_name = !command.is_empty() && command.chars().all(|c| c.is_ascii_lowercase());
            // Prose goes on behind the program's name, too.
            let Some(help) = is_name.then(|| help(command)).flatten() else { continue };
            for flag in words(&line, "--", |c| c.is_ascii_lowercase() || c == '-') {
                assert!(help.contains(&flag), "{}: {line}: no {flag}", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 15, "{checked} commands were found");
}

#[test]
fn providers_lead_to_the_mock_by_either_way() {
    let kubernetes = root().join("deploy/kubernetes");
    let address = |path: &str, key: &str| {
        let text = text(&kubernetes.join(path));
        let found = text.lines().find_map(|line| line.trim().strip_prefix(key).map(str::to_owned));
        found.unwrap_or_else(|| panic!("{path} has no {key}"))
    };
    assert_eq!(
        address("v2/mock.yaml", "clusterIP: "),
        address("istio/service-entry.yaml", "- address: ")
    );
    let name = "payments.example";
    for path in ["v2/v2.yaml", "istio/service-entry.yaml", "v2/mock.yaml"] {
        assert!(text(&kubernetes.join(path)).contains(name), "{path}");
    }
}

#[test]
fn dashboards_and_alerts_ask_for_figures_that_are_told() {
    let sources: String = [
        "src/cli/replay/metrics.rs",
        "src/cli/capture.rs",
        "src/mock/status.rs",
        "src/cli/metrics.rs",
    ]
    .iter()
    .map(|path| text(&root().join(path)))
    .collect();
    let mut asked = BTreeSet::new();
    for path in ["deploy/grafana/shadowtap.json", "deploy/prometheus/rules.yaml"] {
        let part = |c: char| c.is_ascii_lowercase() || c == '_';
        asked.extend(words(&text(&root().join(path)), "shadowtap_", part));
    }
    assert!(asked.len() >= 10, "{asked:?}");
    for name in asked {
        let own = name.trim_start_matches("shadowtap_");
        let own = own.trim_end_matches("_bucket").trim_end_matches("_total");
        let is_told =
            sources.contains(&format!("\"{own}\"")) || sources.contains(&format!("{name}{{"));
        assert!(is_told, "nobody tells {name}");
    }
}

#[test]
fn the_dashboard_is_whole() {
    let board: serde_json::Value =
        serde_json::from_str(&text(&root().join("deploy/grafana/shadowtap.json"))).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{}", panel["title"]);
        assert!(panel["gridPos"]["x"].as_u64().expect("a place") < 24);
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let count = |c| expression.matches(c).count();
            assert_eq!((count('('), count('{')), (count(')'), count('}')), "{expression}");
        }
    }
}
