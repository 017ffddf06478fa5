//! Keeps the map honest: imports point against the data's flow, libraries stay where they belong,
//! and every source file is named in ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the data: each may import only those before it.
const RANKS: &[&[&str]] = &[
    &["time", "flow", "limits", "mode", "steps", "stop", "ledger", "varint"],
    &["message"],
    &["route"],
    &["store"],
    &["capture"],
    &["decode"],
    &["reassemble"],
    &["exchange"],
    &["wire"],
    &["outcome"],
    &["record"],
    &["redact"],
    &["parse"],
    &["source"],
    &["bind"],
    &["schedule"],
    &["replay"],
    &["diff"],
    &["mock"],
    &["measure"],
    &["gate"],
    &["report"],
    &["inspect"],
    &["run"],
    &["merge"],
    &["demo"],
    &["cli"],
];

/// Crates that only one place may name.
const HOMES: &[(&str, &str)] = &[("clap", "cli/"), ("pcap", "capture/live.rs")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file, by its path below `src`.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, top: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("src can be listed") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                walk(&path, top, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name =
                    path.strip_prefix(top).expect("below src").to_string_lossy().into_owned();
                found.insert(name, fs::read_to_string(&path).expect("a source file is UTF-8"));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root().join("src"), &root().join("src"), &mut found);
    assert!(found.len() > 10, "the sources were found");
    found
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

/// The stage a file belongs to: `http/json.rs` and `time.rs` are of `http` and `time`.
fn stage(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// The names that follow `prefix` in code, comment lines left out: `crate::record::json` gives
/// `http`.
fn named_after<'a>(text: &'a str, prefix: &str) -> Vec<(usize, &'a str)> {
    let mut names = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices(prefix) {
            let boundary = line[..at]
                .chars()
                .next_back()
                .is_none_or(|c| !c.is_alphanumeric() && !"_:$".contains(c));
            let rest = &line[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if boundary && end > 0 {
                names.push((number + 1, &rest[..end]));
            }
        }
    }
    names
}

#[test]
fn imports_point_against_the_flow_of_the_data() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        if file == "lib.rs" || file == "main.rs" {
            continue;
        }
        let here = stage(&file);
        let Some(mine) = rank(here) else {
            wrong.push(format!(
                "src/{file}: the ranking in tests/architecture.rs does not know {here}"
            ));
            continue;
        };
        if text.contains("use crate::{") {
            wrong.push(format!(
                "src/{file}: name the module of each import (`use crate::message::…`), so that this test can read it"
            ));
        }
        for (line, module) in named_after(&text, "crate::") {
            match rank(module) {
                Some(theirs)
                    if theirs < mine || module == here || RANKS[mine].contains(&module) => {}
                Some(_) => {
                    wrong.push(format!("src/{file}:{line}: {here} imports {module}, a later stage"))
                }
                None => {
                    wrong.push(format!("src/{file}:{line}: {module} is no module of the ranking"))
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_in_their_homes() {
    for (file, text) in sources() {
        for (library, home) in HOMES {
            let path = format!("{library}::");
            let used =
                text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                    line.match_indices(&path).any(|(at, _)| {
                        line[..at]
                            .chars()
                            .next_back()
                            .is_none_or(|c| !c.is_alphanumeric() && !"_:".contains(c))
                    })
                });
            assert!(
                !used || file.starts_with(home),
                "src/{file} names {library}, which only {home} may"
            );
        }
    }
}

/// Blocks of `unsafe` by file; ARCHITECTURE.md tells why each is there.
const UNSAFE: &[(&str, usize)] = &[
    ("capture/live.rs", 1),
    ("message/json/escape/ssse3.rs", 1),
    ("replay/worker/realtime.rs", 5),
];

#[test]
fn unsafe_blocks_are_those_that_are_told_each_with_its_proof() {
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        let blocks = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains("unsafe {") && !line.trim_start().starts_with("//"));
        let mut count = 0;
        for (at, _) in blocks {
            count += 1;
            let before = &lines[at.saturating_sub(8)..at];
            assert!(
                before.iter().any(|line| line.trim_start().starts_with("// SAFETY: ")),
                "src/{file}:{}: unsafe without its proof",
                at + 1
            );
        }
        let told = UNSAFE.iter().find(|(name, _)| *name == file).map_or(0, |(_, count)| *count);
        assert_eq!(count, told, "src/{file}: blocks of unsafe that are not told");
    }
}

#[test]
fn lib_names_the_modules_that_are_ranked() {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    for (_, module) in named_after(&text, "pub mod ") {
        assert!(
            rank(module).is_some(),
            "src/lib.rs: {module} is not in the ranking of tests/architecture.rs"
        );
    }
}

#[test]
fn the_map_names_every_source_file() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let missing: Vec<String> =
        sources().into_keys().filter(|file| !map.contains(&format!("`src/{file}`"))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
    for named in map
        .split("`src/")
        .skip(1)
        .filter_map(|rest| rest.split('`').next())
        .filter(|name| name.ends_with(".rs"))
    {
        assert!(
            sources().contains_key(named),
            "ARCHITECTURE.md names src/{named}, which is not there"
        );
    }
}

/// The types that a line of code defines: structs, enums, traits, unions and aliases, but no
/// associated types.
fn defined(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let code = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(rest, |(_, rest)| rest),
        Some(rest) => rest.trim_start(),
        None => code,
    };
    let (keyword, rest) = code.split_once(' ')?;
    let is_type = ["struct", "enum", "trait", "union"].contains(&keyword)
        || keyword == "type" && !line.starts_with(' ');
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (is_type && rest.starts_with(|c: char| c.is_ascii_uppercase())).then(|| &rest[..end])
}

/// Most definitions of types that may share their name with another one, in percent.
const SHARED_NAMES_PERCENT: usize = 10;

#[test]
fn a_name_of_a_type_means_one_thing() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources() {
        for name in text.lines().filter_map(defined) {
            homes.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    let all: usize = homes.values().map(Vec::len).sum();
    homes.retain(|_, files| files.len() > 1);
    let shared: usize = homes.values().map(Vec::len).sum();
    assert!(all > 1_000, "the definitions were found");
    assert!(
        shared * 100 <= all * SHARED_NAMES_PERCENT,
        "{shared} of {all} types share a name with another: {homes:#?}"
    );
}

/// Documents that people read, by their paths in the repository.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deploy/README.md",
    "docs",
    "reports/README.md",
];

#[test]
fn links_of_documents_lead_somewhere() {
    let mut files = Vec::new();
    for path in DOCUMENTS.iter().map(|name| root().join(name)) {
        match path.is_dir() {
            true => files.extend(
                fs::read_dir(&path)
                    .expect("a folder of documents")
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.extension().is_some_and(|e| e == "md")),
            ),
            false => files.push(path),
        }
    }
    assert!(files.len() > DOCUMENTS.len(), "the guides were found");
    let mut dead = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a document is UTF-8");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            if path.contains("://") {
                continue;
            }
            let target = match path {
                "" => file.clone(),
                path => file.with_file_name(path),
            };
            let is_there = target.exists()
                && (anchor.is_empty() || headings(&target).contains(&anchor.to_owned()));
            if !is_there {
                dead.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// The anchors of a document's headings, as the web shows them.
fn headings(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().replace(' ', "-")
    };
    lines.map(anchor).collect()
}
