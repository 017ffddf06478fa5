//! Keeps the map honest: imports point against the data's flow, libraries stay where they belong,
//! and every source file is named in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in the order of the data: each may import only those before it.
const RANKS: &[&[&str]] = &[
    &["time", "flow", "limits", "mode", "steps", "stop", "ledger", "varint", "text_form"],
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
    &["review"],
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
                "src/{file}: name the module of each import (`use crate::message::…`), so that \
                 this test can read it"
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
    ("message/json/escape/avx512.rs", 2),
    ("message/json/escape/ssse3.rs", 1),
    ("message/json/unescape/ssse3.rs", 1),
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

/// Files that import each other in a circle, each group with its reason. No other may.
const RECURSIVE: &[(&[&str], &str)] = &[
    (
        &["diff/embedded.rs", "diff/json/mod.rs", "diff/query.rs"],
        "strings of JSON may hold JSON, and queries with JSON in them",
    ),
    (
        &["redact/body.rs", "redact/hide.rs", "redact/json.rs", "redact/markup.rs"],
        "a value may be a document, whose values are hidden in their turn",
    ),
    (
        &["redact/named.rs", "redact/shapes.rs", "redact/values.rs"],
        "a text may name a secret, whose value may be a text",
    ),
];

/// The path of the module that a file is: `replay/plan/mod.rs` is `replay::plan`.
fn module(file: &str) -> String {
    let parts: Vec<&str> =
        file.trim_end_matches(".rs").split('/').filter(|part| *part != "mod").collect();
    parts.join("::")
}

/// A tree of `use` taken apart into its paths.
fn expanded(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut start) = (0, 0);
    for (at, sign) in tree.char_indices().chain([(tree.len(), ',')]) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = &tree[start..at];
                start = at + 1;
                match item.split_once('{') {
                    Some((head, rest)) => {
                        let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
                        expanded(&format!("{prefix}{head}"), inner, paths);
                    }
                    None if item.is_empty() => {}
                    None => paths.push(format!("{prefix}{item}")),
                }
            }
            _ => {}
        }
    }
}

/// The code of a file without its comments and tests, and the trees of its `use`: those that it
/// hands on (`pub use`) apart from its own.
fn taken_apart(text: &str) -> (String, Vec<String>, Vec<String>) {
    let code: String = text
        .split("mod tests {")
        .next()
        .unwrap_or(text)
        .lines()
        .map(|line| line.split("//").next().unwrap_or(line).trim().to_owned() + "\n")
        .collect();
    let (mut rest, mut own, mut handed_on) = (String::new(), Vec::new(), Vec::new());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let visible = line.split_once("use ").filter(|(before, _)| {
            before.is_empty() || before.starts_with("pub") && !before.contains("fn ")
        });
        let Some((before, tree)) = visible else {
            rest += line;
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree += lines.next().unwrap_or(";");
        }
        let tree = tree.trim_end_matches(';').replace(' ', "");
        expanded("", &tree, if before.is_empty() { &mut own } else { &mut handed_on });
    }
    (rest, own, handed_on)
}

/// The paths that a file's code names, but for those that it hands on and its tests.
fn named_paths(text: &str) -> Vec<String> {
    let (code, mut paths, _) = taken_apart(text);
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    paths.extend(code.split(|c| !word(c)).filter(|word| word.contains("::")).map(str::to_owned));
    paths
}

/// Modules by their paths, each with its file and what it imports: what stands there by another's
/// name.
type Modules<'a> = BTreeMap<String, (&'a str, Vec<String>)>;

fn child(of: &str, name: &str) -> String {
    if of.is_empty() { name.to_owned() } else { format!("{of}::{name}") }
}

/// The file that defines what a path names, seen from the module `here`.
fn file_of(path: &str, here: &str, modules: &Modules<'_>) -> Option<String> {
    let (mut at, mut path) = (here.to_owned(), path.to_owned());
    // Imports of imports end somewhere.
    for _ in 0..8 {
        let first = path.split("::").next()?;
        if first == "crate" {
            at.clear();
        } else if !["self", "super"].contains(&first) && !modules.contains_key(&child(&at, first)) {
            return None;
        }
        let mut item = None;
        for segment in path.split("::") {
            match segment {
                "crate" | "self" => {}
                "super" => at.truncate(at.rfind("::").unwrap_or(0)),
                _ if modules.contains_key(&child(&at, segment)) => at = child(&at, segment),
                _ => {
                    item = Some(segment);
                    break;
                }
            }
        }
        let (file, imports) = modules.get(&at)?;
        let by_name = |import: &&String| {
            item.is_some_and(|item| import.rsplit("::").next() == Some(item) && **import != path)
        };
        match imports.iter().find(by_name) {
            Some(import) if import.contains("::") => path.clone_from(import),
            _ => return Some((*file).to_owned()),
        }
    }
    None
}

/// Groups of files of one module that import each other, in a circle of any length.
fn circles(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<&str>> {
    let reached = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = open.pop() {
            let next = edges.get(&file).into_iter().flatten();
            open.extend(next.filter(|next| seen.insert((*next).clone())).cloned());
        }
        seen
    };
    let reach: BTreeMap<&str, BTreeSet<String>> =
        edges.keys().map(|file| (file.as_str(), reached(file))).collect();
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for (&file, seen) in reach.iter().filter(|(file, seen)| seen.contains(**file)) {
        let of_circle = |other: &&str| seen.contains(*other) && reach[*other].contains(file);
        if !groups.iter().any(|group| group.contains(&file)) {
            groups.push(reach.keys().copied().filter(of_circle).collect());
        }
    }
    groups
}

#[test]
fn files_within_a_module_import_each_other_in_no_circle() {
    let sources = sources();
    let modules: Modules<'_> = sources
        .iter()
        .map(|(file, text)| {
            let (_, own, handed_on) = taken_apart(text);
            (module(file), (file.as_str(), [own, handed_on].concat()))
        })
        .collect();
    let mut by_stage: BTreeMap<&str, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (file, text) in sources.iter().filter(|(file, _)| !file.contains("tests")) {
        let here = module(file);
        let named = named_paths(text);
        let theirs = named.iter().filter_map(|path| file_of(path, &here, &modules));
        let theirs = theirs.filter(|other| other != file && stage(other) == stage(file));
        let edges = by_stage.entry(stage(file)).or_default().entry(file.clone()).or_default();
        edges.extend(theirs);
    }
    assert!(by_stage["cli"].values().map(BTreeSet::len).sum::<usize>() > 50, "imports were read");
    let found: BTreeSet<Vec<&str>> = by_stage.values().flat_map(circles).collect();
    let told: BTreeSet<Vec<&str>> = RECURSIVE.iter().map(|(files, _)| files.to_vec()).collect();
    let new: Vec<_> = found.difference(&told).collect();
    assert!(new.is_empty(), "files import each other in circles: {new:#?}");
    let gone: Vec<_> = told.difference(&found).collect();
    assert!(gone.is_empty(), "no circles any more: {gone:#?}");
}

#[test]
fn a_circle_is_seen_however_it_is_spelled() {
    let mut paths = Vec::new();
    expanded("", "super::{a,b::{C,d}}", &mut paths);
    assert_eq!(paths, ["super::a", "super::b::C", "super::b::d"]);
    let text =
        "pub(crate) use a::X;\nuse super::b::{\n    Y, // no::comment\n};\nfn f() { c::z() }";
    assert_eq!(named_paths(text), ["super::b::Y", "c::z"]);
    let mut modules: Modules<'_> = ["m/mod.rs", "m/a.rs", "m/b.rs", "m/c/mod.rs"]
        .into_iter()
        .map(|file| (module(file), (file, Vec::new())))
        .collect();
    assert_eq!(file_of("super::b::Y", "m::a", &modules).as_deref(), Some("m/b.rs"));
    assert_eq!(file_of("c::z", "m", &modules).as_deref(), Some("m/c/mod.rs"));
    assert_eq!(file_of("crate::m::T", "m::c", &modules).as_deref(), Some("m/mod.rs"));
    assert_eq!(file_of("std::io", "m", &modules), None);
    // What is handed on is where it is defined.
    modules.get_mut("m").expect("it is there").1 = vec!["c::T".to_owned()];
    assert_eq!(file_of("super::T", "m::a", &modules).as_deref(), Some("m/c/mod.rs"));
    let edge = |from: &str, to: &[&str]| {
        (from.to_owned(), to.iter().map(|to| (*to).to_owned()).collect::<BTreeSet<_>>())
    };
    let edges = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &["a"]), edge("d", &["a"])];
    assert_eq!(circles(&edges.into_iter().collect()), [["a", "b", "c"]]);
}
