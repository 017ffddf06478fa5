//! `shadowtap show DIR [ID|CLUSTER|QUERY]`: exchanges of a run, each with its request, both answers
//! side by side, and its times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::config::Config;
use super::paint::{self, colour};
use super::remote::RunPlace;
use super::{Exit, Failure, Global, args, output};
use crate::diff::repeat;
use crate::diff::{Cluster, Difference};
use crate::gate::words::{count, duration, plural};
use crate::message::protobuf::Schema;
use crate::outcome::ReplayId;
use crate::record::curl::quoted;
use crate::record::{exchanges, lines, outcomes};
use crate::redact::Masker;
use crate::report::closeup::terminal::{TerminalLook, write as in_full};
use crate::report::closeup::{Closeup, Flight, json, raw};
use crate::report::query::{self, HeldTerms, Query};
use crate::report::terminal::{fit, wrap};
use crate::report::{CallCluster, still_held, text, what};
use crate::review::closeups::{self, FoundExchange, Servers, each_picked, gather, route_of};
use crate::review::{call_clusters, clusters, masker};
use crate::run::{self, RunFolder, names, present};

/// Columns where there is no terminal.
const WIDTH: usize = 100;
/// Exchanges that are shown in full at once; of more there is a list.
const IN_FULL: usize = 1;

/// Look at exchanges of a run: both answers side by side
///
/// Without more, lists what differs, by cause. With the id of an exchange (`12-3`), of a cluster,
/// or a query, shows the request, what v1 and v2 answered with the changed places marked, when what
/// happened, and what it waited for. A query finds exchanges by any text, and by route:, status:,
/// cluster:, lane:, slower-than: and trace:; all of its terms must hold. Secrets are masked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
#[command(after_help = "Examples:\n  \
    shadowtap show reports/v2\n  \
    shadowtap show reports/v2 12-3\n  \
    shadowtap show reports/v2 3f2a91c07b --limit 5\n  \
    shadowtap show reports/v2 'route:GET /orders/{id} status:5xx'\n  \
    shadowtap show reports/v2 out of stock slower-than:500ms\n  \
    shadowtap show reports/v2 12-3 --curl --unmasked | sh")]
pub struct ShowArgs {
    /// Folder of a run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// An exchange, a cluster, or what to look for
    #[arg(value_name = "ID|CLUSTER|QUERY")]
    what: Vec<String>,
    /// One JSON object a line
    #[arg(long, conflicts_with_all = ["curl", "raw"])]
    json: bool,
    /// A command line that sends the request to v2 again
    #[arg(long, conflicts_with = "raw")]
    curl: bool,
    /// The messages as HTTP text, one behind the other
    #[arg(long)]
    raw: bool,
    /// Show passwords, tokens and cookies instead of masking them
    #[arg(long, visible_alias = "show-secrets")]
    unmasked: bool,
    /// Most exchanges
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Lines around each that differs; longer stretches that are alike are folded
    #[arg(long, value_name = "N", default_value_t = 6, conflicts_with = "all")]
    context: usize,
    /// Fold nothing
    #[arg(long)]
    all: bool,
}

/// What is asked for.
enum ShowAsked {
    Everything,
    Ids(Vec<ReplayId>),
    Cluster(Box<Cluster>),
    /// v2's calls to a provider.
    Calls(Box<CallCluster>),
    Query(Query),
}

/// Exchanges that were found, the first of them by id.
#[derive(Default)]
struct Matches {
    ids: Vec<ReplayId>,
    total: u64,
}

pub(crate) fn run(args: ShowArgs, global: &Global) -> Result<Exit, Failure> {
    let place = RunPlace::of_run(&args.folder)?;
    let folder = RunFolder::open(place.path())?;
    let mut by_id = false;
    let (matches, cluster) = match asked(&folder, &args)? {
        ShowAsked::Everything => {
            output::print(&overview(&folder, &args)?)?;
            return Ok(Exit::Done);
        }
        ShowAsked::Ids(ids) => {
            by_id = true;
            (Matches { total: ids.len() as u64, ids }, None)
        }
        ShowAsked::Calls(cluster) => {
            output::print(&calls(&cluster, &args))?;
            return Ok(Exit::Done);
        }
        ShowAsked::Cluster(cluster) => (members(&folder, &cluster, args.limit)?, Some(cluster)),
        ShowAsked::Query(query) => (search(&folder, &query, args.limit)?, None),
    };
    let (found, servers) = gather(&folder, &matches.ids, usize::MAX)?;
    if let Some(missing) = matches.ids.iter().find(|id| found.iter().all(|found| found.id != **id))
    {
        return Err(Failure::usage(format!(
            "no exchange {missing} in {}: `shadowtap show {0}` lists what differs",
            folder.path().display()
        )));
    }
    let masker = masker(&folder, args.unmasked)?;
    let schema = Config::load(global)?.schema;
    let shown = ShowForm { args: &args, masker, schema, servers, by_id };
    output::print_bytes(&shown.write(&found, cluster.as_deref(), matches.total))?;
    Ok(Exit::Done)
}

fn asked(folder: &RunFolder, args: &ShowArgs) -> Result<ShowAsked, Failure> {
    if args.what.is_empty() {
        return Ok(ShowAsked::Everything);
    }
    let words: Vec<&str> = args
        .what
        .iter()
        .flat_map(|word| word.split([',', ' ']))
        .filter(|w| !w.is_empty())
        .collect();
    let ids: Result<Vec<ReplayId>, String> = words.iter().map(|word| word.parse()).collect();
    if let Ok(ids) = ids
        && !ids.is_empty()
    {
        let mut seen = BTreeSet::new();
        return Ok(ShowAsked::Ids(ids.into_iter().filter(|id| seen.insert(*id)).collect()));
    }
    if let [word] = words[..]
        && let Some(cluster) = cluster_called(folder, word)?
    {
        return Ok(ShowAsked::Cluster(Box::new(cluster)));
    }
    if let [word] = words[..]
        && let Some(cluster) = calls_called(folder, word, args)?
    {
        return Ok(ShowAsked::Calls(Box::new(cluster)));
    }
    let query = Query::parse(&args.what.join(" "), args::duration_ns)
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(ShowAsked::Query(query))
}

/// Whether a word may be a cluster's id, or its start; shorter ones are texts that are looked for.
fn may_be_cluster(word: &str) -> bool {
    word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The cluster of outgoing calls whose id starts so.
fn calls_called(
    folder: &RunFolder,
    word: &str,
    args: &ShowArgs,
) -> Result<Option<CallCluster>, Failure> {
    if !may_be_cluster(word) {
        return Ok(None);
    }
    let found = call_clusters(&folder.file(names::EGRESS), &[], &masker(folder, args.unmasked)?)?;
    Ok(found.into_iter().find(|cluster| cluster.id.starts_with(word)))
}

/// A cluster of outgoing calls: what v1 called and what v2 called.
fn calls(cluster: &CallCluster, args: &ShowArgs) -> String {
    if args.json {
        let places: Vec<_> = cluster
            .places
            .iter()
            .map(|(place, v1, v2)| serde_json::json!({"place": place, "v1": v1, "v2": v2}))
            .collect();
        let value = serde_json::json!({
            "cluster": cluster.id, "call": cluster.verdict, "provider": cluster.provider,
            "route": cluster.route, "calls": cluster.calls, "shape": cluster.shape,
            "places": places, "expected": cluster.expected, "actual": cluster.actual,
            "causes": cluster.causes, "repeat": cluster.repeat,
        });
        return format!("{value}\n");
    }
    if args.curl {
        return format!("{}\n", text::visible(&cluster.repeat));
    }
    let width = paint::columns(WIDTH);
    let mut out = String::new();
    let mut line = |text: &str| {
        for line in wrap(&text::visible(text), width) {
            let _ = writeln!(out, "{line}");
        }
    };
    line(&format!("Cluster {}: {} at {}", cluster.id, cluster.route, cluster.provider));
    let shape = match cluster.shape.as_str() {
        "" => String::new(),
        shape => format!(" ({shape})"),
    };
    line(&format!("{} {}{shape}", plural(cluster.calls, "call", "calls"), cluster.what));
    let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    for (place, v1, v2) in &cluster.places {
        line(&format!("{place}: {} → {}", side(v1), side(v2)));
    }
    let body = |text: &str| if text.is_empty() { "no body".to_owned() } else { text.to_owned() };
    line("");
    match cluster.verdict {
        "extra" => {}
        _ => line(&format!("v1 called with {}", body(&cluster.expected))),
    }
    match cluster.verdict {
        "missing" => {}
        _ => line(&format!("v2 called with {}", body(&cluster.actual))),
    }
    let folder = quoted(&args.folder.to_string_lossy());
    line("");
    if let Some(cause) = cluster.causes.first() {
        line(&format!("caused by: {}", cluster.causes.join(", ")));
        line(&format!("look: shadowtap show {folder} {cause}"));
    }
    line(&format!("intended: shadowtap approve {folder} {} --reason WHY", cluster.id));
    out
}

/// The cluster whose id starts so, where the word may be an id.
fn cluster_called(folder: &RunFolder, word: &str) -> Result<Option<Cluster>, Failure> {
    if !may_be_cluster(word) {
        return Ok(None);
    }
    let mut found = None;
    run::lines::<Failure>(&folder.file(names::CLUSTERS), |_, line| {
        if let Ok(cluster) = serde_json::from_slice::<Cluster>(line)
            && cluster.id.starts_with(word)
        {
            found.get_or_insert(cluster);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The exchanges of a cluster.
fn members(folder: &RunFolder, cluster: &Cluster, limit: usize) -> Result<Matches, Failure> {
    let ids = of_clusters(folder, |id| id == cluster.id)?;
    let total = ids.len() as u64;
    Ok(Matches { ids: ids.into_keys().take(limit).collect(), total })
}

/// The exchanges with differences in some clusters, each with the clusters' ids.
fn of_clusters(
    folder: &RunFolder,
    wanted: impl Fn(&str) -> bool + Sync,
) -> Result<BTreeMap<ReplayId, Vec<String>>, Failure> {
    let mut found: BTreeMap<ReplayId, Vec<String>> = BTreeMap::new();
    let path = folder.file(names::DIFFERENCES);
    if !present(&path) {
        return Err(not_diffed(folder));
    }
    let pick = |line: &[u8]| {
        let difference: Difference = serde_json::from_slice(line).ok()?;
        wanted(&difference.cluster).then_some((difference.id, difference.cluster))
    };
    each_picked(&path, pick, |(id, cluster)| {
        let of = found.entry(id).or_default();
        if !of.contains(&cluster) {
            of.push(cluster);
        }
    })?;
    Ok(found)
}

fn not_diffed(folder: &RunFolder) -> Failure {
    let path = folder.path().display();
    Failure::unusable(format!(
        "{path} has no {}: run `shadowtap diff {path}` first",
        names::DIFFERENCES
    ))
}

/// The exchanges for which a query holds: one pass over what was recorded, one over what was
/// replayed.
fn search(folder: &RunFolder, query: &Query, limit: usize) -> Result<Matches, Failure> {
    let starts: Vec<&str> = query.clusters().collect();
    let clusters = match starts.is_empty() {
        true => BTreeMap::new(),
        false => of_clusters(folder, |id| starts.iter().any(|start| id.starts_with(start)))?,
    };
    let mut in_cluster: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (id, ids) in clusters {
        in_cluster.entry(id.exchange).or_default().extend(ids);
    }
    let routes = if query.asks_for_route() { closeups::routes(folder)? } else { None };
    let mut open: BTreeMap<_, HeldTerms> = BTreeMap::new();
    let pick = |line: &[u8]| {
        let Ok(exchanges::Line::Exchange(exchange)) = exchanges::read(line) else { return None };
        let route = if query.asks_for_route() {
            route_of(routes.as_ref(), &exchange)
        } else {
            String::new()
        };
        let is_in = |start: &str| {
            in_cluster
                .get(&exchange.id)
                .is_some_and(|ids| ids.iter().any(|id| id.starts_with(start)))
        };
        query.of_exchange(&exchange, &route, is_in).map(|held| (exchange.id, held))
    };
    each_picked(&folder.file(names::EXCHANGES), pick, |(id, held)| {
        open.insert(id, held);
    })?;
    let mut matches = BTreeSet::new();
    let outcomes = folder.file(names::OUTCOMES);
    if present(&outcomes) {
        let pick = |line: &[u8]| {
            let id = lines::id_of(line);
            if id.is_some_and(|id| !open.contains_key(&id.exchange)) {
                return None;
            }
            let Ok(outcomes::OutcomeLine::Outcome(outcome)) = outcomes::read(line) else {
                return None;
            };
            let held = open.get(&outcome.id.exchange)?;
            Some((outcome.id, query.holds(*held, Some(&outcome))))
        };
        let mut replayed = BTreeSet::new();
        each_picked(&outcomes, pick, |(id, holds)| {
            replayed.insert(id.exchange);
            if holds {
                matches.insert(id);
            }
        })?;
        open.retain(|id, _| !replayed.contains(id));
    }
    let alone = open.iter().filter(|(_, held)| query.holds(**held, None));
    matches.extend(alone.map(|(id, _)| ReplayId::first(*id)));
    let total = matches.len() as u64;
    Ok(Matches { ids: matches.into_iter().take(limit).collect(), total })
}

/// What differs, by cause, each with an exchange to look at.
fn overview(folder: &RunFolder, args: &ShowArgs) -> Result<String, Failure> {
    let path = folder.file(names::CLUSTERS);
    if !present(&path) {
        return Err(not_diffed(folder));
    }
    let clusters = clusters(&path)?;
    let mut out = String::new();
    if args.json {
        for cluster in &clusters.kept {
            let line = serde_json::to_string(cluster).unwrap_or_default();
            let _ = writeln!(out, "{line}");
        }
        return Ok(out);
    }
    let width = paint::columns(WIDTH);
    for cluster in clusters.kept.iter().take(args.limit) {
        let head = format!(
            "{}  {}  {} of {}  {}",
            cluster.id,
            cluster.class.name(),
            count(cluster.exchanges),
            count(cluster.compared),
            cluster.route
        );
        let _ = writeln!(out, "{}", fit(&head, width).trim_end());
        let about = format!("            {}, as in {}", what(cluster), cluster.example.id);
        let _ = writeln!(out, "{}", fit(&about, width).trim_end());
    }
    let of_calls = call_clusters(&folder.file(names::EGRESS), &[], &masker(folder, false)?)?;
    for cluster in of_calls.iter().take(args.limit) {
        let many = plural(cluster.calls, "call", "calls");
        let head = format!("{}  {many}  {} at {}", cluster.id, cluster.route, cluster.provider);
        let _ = writeln!(out, "{}", fit(&head, width).trim_end());
        let about = format!("            {}", cluster.what);
        let _ = writeln!(out, "{}", fit(&about, width).trim_end());
    }
    if of_calls.len() > args.limit {
        let more = (of_calls.len() - args.limit) as u64;
        let more = plural(more, "more cluster of calls", "more clusters of calls");
        let _ = writeln!(out, "… and {more}: --limit shows them");
    }
    let total: u64 = clusters.counts.iter().sum();
    let more = total.saturating_sub(args.limit.min(clusters.kept.len()) as u64);
    if more > 0 {
        let more = plural(more, "more cluster", "more clusters");
        let _ = writeln!(out, "… and {more}: --limit shows them");
    }
    let first = clusters.kept.first().map(|first| first.id.as_str());
    if total == 0 && of_calls.is_empty() {
        out.push_str("Nothing differs.\n");
    } else {
        let shown = first.or(of_calls.first().map(|first| first.id.as_str())).unwrap_or("12-3");
        let dir = text::visible(&args.folder.to_string_lossy()).into_owned();
        let _ = writeln!(out, "\nshadowtap show {dir} {shown}  shows the exchanges of the first.");
    }
    Ok(out)
}

/// What may have been meant where nothing fits: a key that is nearly one, a cluster.
fn hint(words: &[String]) -> Option<String> {
    let words = || words.iter().flat_map(|word| word.split_whitespace());
    let near = words().find_map(|word| {
        let (key, value) = word.split_once(':')?;
        Some(format!("{}:{value}", query::nearest_key(key)?))
    });
    match near {
        Some(near) => Some(format!("Did you mean {near}?")),
        None => words()
            .any(may_be_cluster)
            .then(|| "No cluster is called so either: `shadowtap show DIR` lists them.".to_owned()),
    }
}

/// How what was found is shown.
struct ShowForm<'a> {
    args: &'a ShowArgs,
    masker: Masker,
    schema: Schema,
    servers: Servers,
    /// Each exchange was named.
    by_id: bool,
}

impl ShowForm<'_> {
    fn write(&self, found: &[FoundExchange], cluster: Option<&Cluster>, total: u64) -> Vec<u8> {
        let mut out = Vec::new();
        if self.args.json || self.args.curl || self.args.raw {
            found.iter().for_each(|found| self.for_tools(found, &mut out));
            return out;
        }
        let text = self.for_people(found, cluster, total);
        out.extend_from_slice(text.as_bytes());
        out
    }

    fn for_tools(&self, found: &FoundExchange, out: &mut Vec<u8>) {
        let subject = found.subject(&self.masker, &self.schema);
        if self.args.json {
            let value = json::value(&subject, &Closeup::of(&subject));
            out.extend_from_slice(value.to_string().as_bytes());
            out.push(b'\n');
        } else if self.args.curl {
            out.extend_from_slice(self.curl(found).as_bytes());
            out.push(b'\n');
        } else {
            let mut messages = Vec::new();
            raw::write(&mut messages, &subject);
            match std::io::stdout().is_terminal() {
                true => out.extend_from_slice(for_terminals(&messages).as_bytes()),
                false => out.append(&mut messages),
            }
        }
    }

    fn curl(&self, found: &FoundExchange) -> String {
        match &found.exchange.request {
            Some(request) => {
                let (server, mapped) = self.servers.of(&request.message);
                let id = found.id.exchange.to_string();
                repeat::at(server, mapped, &request.message, &self.masker, &id)
            }
            None => format!("# {}: its request is not in the capture", found.id),
        }
    }

    fn for_people(&self, found: &[FoundExchange], cluster: Option<&Cluster>, total: u64) -> String {
        let look = TerminalLook {
            width: paint::columns(WIDTH),
            context: (!self.args.all).then_some(self.args.context),
            colour: colour(),
        };
        let mut out = String::new();
        if let Some(cluster) = cluster {
            self.cluster(cluster, look.width, &mut out);
        }
        let full = match cluster {
            Some(_) => IN_FULL,
            None if self.by_id || total <= IN_FULL as u64 => found.len(),
            None => 0,
        };
        for (index, found) in found.iter().take(full).enumerate() {
            if index > 0 {
                let _ = writeln!(out, "\n{}\n", "─".repeat(look.width));
            }
            out.push_str(&in_full(&found.closeup(&self.masker, &self.schema), look));
        }
        let list = &found[full.min(found.len())..];
        if !list.is_empty() {
            if full > 0 {
                out.push('\n');
            }
            list.iter().for_each(|found| self.row(found, look.width, &mut out));
        }
        let more = total.saturating_sub(found.len() as u64);
        if total == 0 {
            out.push_str("No exchange fits.");
            if let Some(hint) = hint(&self.args.what) {
                let _ = write!(out, " {hint}");
            }
            out.push('\n');
        } else if more > 0 {
            let more = plural(more, "more exchange", "more exchanges");
            let _ = writeln!(out, "… and {more}: --limit shows them");
        }
        out
    }

    fn cluster(&self, cluster: &Cluster, width: usize, out: &mut String) {
        let head = format!("Cluster {}: {}", cluster.id, cluster.route);
        let _ = writeln!(out, "{}", fit(&head, width).trim_end());
        let many = format!(
            "{} {}, {} of {}",
            cluster.class.name(),
            what(cluster),
            count(cluster.exchanges),
            plural(cluster.compared, "compared exchange", "compared exchanges")
        );
        let _ = writeln!(out, "{}", fit(&many, width).trim_end());
        if let Some(only) = &cluster.only_where {
            let only = format!("only where {only}");
            let _ = writeln!(out, "{}", fit(&only, width).trim_end());
        }
        if !cluster.why.is_empty() {
            let _ = writeln!(out, "{}", fit(&cluster.why, width).trim_end());
        }
        let held = still_held(cluster);
        if !held.is_empty() {
            for line in wrap(held, width) {
                let _ = writeln!(out, "{line}");
            }
        }
        out.push('\n');
    }

    /// An exchange in two lines.
    fn row(&self, found: &FoundExchange, width: usize, out: &mut String) {
        let closeup = found.closeup(&self.masker, &self.schema);
        let took = |nanos: Option<i64>| {
            nanos.map_or_else(|| "–".to_owned(), |nanos| duration(nanos as f64))
        };
        let head = format!("{:<8} {}", closeup.id.to_string(), closeup.title);
        let _ = writeln!(out, "{}", fit(&head, width).trim_end());
        let differ = match closeup.spots.len() + closeup.more_spots {
            0 => "alike".to_owned(),
            n => plural(n as u64, "difference", "differences"),
        };
        let [one, other] = &closeup.statuses;
        let v2 = closeup.times.v2.as_ref().and_then(Flight::took_ns);
        let said = format!(
            "         v1 {one} in {}, v2 {other} in {}, {differ}",
            took(closeup.times.v1[1]),
            took(v2)
        );
        let _ = writeln!(out, "{}", fit(&said, width).trim_end());
    }
}

/// Bytes line by line, visible: nothing of a capture reaches a terminal raw.
fn for_terminals(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines =
        text.split('\n').map(|line| text::visible(line.trim_end_matches('\r')).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}
