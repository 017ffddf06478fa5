//! Gathers what a run's folder holds of some exchanges, in one pass over each file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;

use super::ReviewError;
use super::placed::{self, Placed};
use crate::diff::engine::{MEMBERS, Span, Whereabouts};
use crate::diff::{Class, Cluster, Difference};
use crate::exchange::{Exchange, ExchangeId};
use crate::message::protobuf::Schema;
use crate::message::trace::TraceLink;
use crate::outcome::{HostMap, Outcome, ReplayId, server_of};
use crate::record::exchanges::{self, Line};
use crate::record::flows::{Binding, Flow};
use crate::record::{lines, outcomes};
use crate::redact::Masker;
use crate::report::Clusters;
use crate::report::closeup::{Closeup, CloseupSubject, Flight};
use crate::route::{Routes, rpc};
use crate::run::{RunFolder, json, lines as lines_of, names, present};

/// The bindings that a replay made.
const BINDINGS: &str = "bindings.jsonl";
/// Earlier requests of a lane that are shown.
const BEFORE: u32 = 8;
/// Exchanges that are looked at for a page: as many as its bytes could hold.
const PAGE_EXCHANGES: usize = 700;
/// Longest record that is looked at for a page, in bytes.
const PAGE_LINE_BYTES: usize = 256 << 10;
/// Differences of one exchange that are kept; no more are listed.
const DIFFERENCES: usize = 500;
/// Exchanges of which the values are looked for that were put into their requests.
const MOST_WITH_VALUES: usize = 20;

/// What a folder holds of one exchange.
pub(crate) struct FoundExchange {
    pub(crate) id: ReplayId,
    pub(crate) exchange: Rc<Exchange>,
    pub(crate) outcome: Option<Outcome>,
    route: String,
    differences: Vec<Difference>,
    bindings: Vec<Binding>,
    put: Vec<(String, Binding)>,
    before: Vec<Flight>,
    shapes: Rc<HashMap<String, String>>,
    trace_link: Option<Rc<TraceLink>>,
}

impl FoundExchange {
    /// As a close-up takes it.
    pub(crate) fn subject<'a>(
        &'a self,
        masker: &'a Masker,
        schema: &'a Schema,
    ) -> CloseupSubject<'a> {
        CloseupSubject {
            id: self.id,
            exchange: &self.exchange,
            outcome: self.outcome.as_ref(),
            route: &self.route,
            differences: &self.differences,
            bindings: &self.bindings,
            put: &self.put,
            shapes: &self.shapes,
            before: &self.before,
            trace_link: self.trace_link.as_deref(),
            masker,
            schema,
        }
    }

    /// Close up.
    pub(crate) fn closeup(&self, masker: &Masker, schema: &Schema) -> Closeup {
        Closeup::of(&self.subject(masker, schema))
    }
}

/// Where a replay's requests went.
#[derive(Default)]
pub(crate) struct Servers {
    target: String,
    mapped: Vec<HostMap>,
}

impl Servers {
    /// The server of a request, and whether its host is mapped to it.
    pub(crate) fn of(&self, request: &crate::message::Request) -> (&str, bool) {
        server_of(request, &self.target, &self.mapped)
    }
}

/// Exchanges of each cluster close up, for a page of bounded length: each cluster's first one, then
/// the others of regressions, then those of the rest. Very long records are left to `show`.
pub(crate) fn for_page(
    folder: &RunFolder,
    clusters: &Clusters,
    masker: &Masker,
    schema: &Schema,
) -> Result<Vec<Closeup>, ReviewError> {
    let (ids, records) = match Placed::of(folder) {
        Some(mut placed) => {
            let ids = std::mem::take(&mut placed.ids);
            (ids, Records { placed: Some(placed), longest: PAGE_LINE_BYTES })
        }
        None => (
            weighed(clusters, members(folder, clusters)?),
            Records { placed: None, longest: PAGE_LINE_BYTES },
        ),
    };
    let (found, _) = gather_of(folder, &ids, &records)?;
    Ok(found.iter().map(|found| found.closeup(masker, schema)).collect())
}

/// Keeps where the records stand that a page of these clusters shows.
pub(crate) fn keep_places(folder: &RunFolder, found: &[Cluster], whereabouts: &Whereabouts) {
    let mut clusters = Clusters::default();
    found.iter().for_each(|cluster| clusters.add(cluster.clone()));
    clusters.settle();
    let firsts = |cluster: &Cluster| {
        let mut ids = vec![cluster.example.id];
        whereabouts.members(&cluster.id).iter().for_each(|id| join(&mut ids, *id));
        ids
    };
    let members = clusters.kept.iter().map(|cluster| (&*cluster.id, firsts(cluster))).collect();
    let mut placed = Placed { ids: weighed(&clusters, members), ..Placed::default() };
    for &id in &placed.ids {
        // Of what is not known the records are searched for.
        let Some(spans) = whereabouts.spans(id, BEFORE) else { return };
        placed.exchanges.push(spans.exchange);
        placed.differences.push(spans.differences);
        placed.outcomes.extend(spans.outcomes);
    }
    placed.keep(folder);
}

/// Adds an exchange to those of a cluster that may be shown.
fn join(ids: &mut Vec<ReplayId>, id: ReplayId) {
    if ids.len() < MEMBERS && !ids.contains(&id) {
        ids.push(id);
    }
}

/// The first exchanges of each cluster.
fn members<'c>(
    folder: &RunFolder,
    clusters: &'c Clusters,
) -> Result<HashMap<&'c str, Vec<ReplayId>>, ReviewError> {
    #[derive(serde::Deserialize)]
    struct ShownMember {
        id: ReplayId,
        cluster: String,
    }
    let mut members: HashMap<&str, Vec<ReplayId>> = HashMap::new();
    for cluster in &clusters.kept {
        members.insert(&cluster.id, vec![cluster.example.id]);
    }
    let path = folder.file(names::DIFFERENCES);
    if present(&path) {
        let pick = |line: &[u8]| serde_json::from_slice::<ShownMember>(line).ok();
        each_picked(&path, pick, |member| {
            if let Some(ids) = members.get_mut(member.cluster.as_str()) {
                join(ids, member.id);
            }
        })?;
    }
    Ok(members)
}

/// The exchanges that a page would show, in the order of their weight.
fn weighed(clusters: &Clusters, members: HashMap<&str, Vec<ReplayId>>) -> Vec<ReplayId> {
    let is = |cluster: &&Cluster, class: Class| cluster.class == class;
    let regressions = || clusters.kept.iter().filter(|c| is(c, Class::Regression));
    let rest = || clusters.kept.iter().filter(|c| !is(c, Class::Regression));
    let rank = |cluster: &Cluster, rank: usize| members[cluster.id.as_str()].get(rank).copied();
    let firsts = regressions().chain(rest()).filter_map(|cluster| rank(cluster, 0));
    let others =
        (1..MEMBERS).flat_map(|at| regressions().filter_map(move |cluster| rank(cluster, at)));
    let beside = (1..MEMBERS).flat_map(|at| rest().filter_map(move |cluster| rank(cluster, at)));
    let mut seen = BTreeSet::new();
    let ids = firsts.chain(others).chain(beside).filter(|id| seen.insert(*id));
    ids.take(PAGE_EXCHANGES).collect()
}

/// Everything of the exchanges in `ids` that are in the folder, in the order of `ids`; records of
/// more than `longest` bytes are left out.
pub(crate) fn gather(
    folder: &RunFolder,
    ids: &[ReplayId],
    longest: usize,
) -> Result<(Vec<FoundExchange>, Servers), ReviewError> {
    let (mut found, servers) = gather_of(folder, ids, &Records { placed: None, longest })?;
    if found.len() <= MOST_WITH_VALUES {
        put_in(folder, &mut found)?;
    }
    Ok((found, servers))
}

/// Finds the values that were put into requests: those of a flow that leads to the route, whose value
/// of v1's stands in the request.
fn put_in(folder: &RunFolder, found: &mut [FoundExchange]) -> Result<(), ReviewError> {
    // Of each exchange, the flows that lead to it, with where.
    let mut places: Vec<HashMap<u32, String>> = vec![HashMap::new(); found.len()];
    lines_of::<ReviewError>(&folder.file(names::FLOWS), |_, line| {
        let Ok(flow) = serde_json::from_slice::<Flow>(line) else { return Ok(()) };
        for (at, places) in places.iter_mut().enumerate() {
            let to = flow.to.iter().find(|to| to.route == found[at].route);
            places.extend(to.map(|to| (flow.flow, to.place.clone())));
        }
        Ok(())
    })?;
    let flows: BTreeSet<u32> = places.iter().flat_map(|places| places.keys().copied()).collect();
    if flows.is_empty() {
        return Ok(());
    }
    let pick = |line: &[u8]| {
        let binding: Binding = serde_json::from_slice(line).ok()?;
        (binding.v2.is_some() && flows.contains(&binding.flow?)).then_some(binding)
    };
    each_picked(&folder.file(BINDINGS), pick, |binding| {
        for (found, places) in found.iter_mut().zip(&places) {
            let place = binding.flow.and_then(|flow| places.get(&flow));
            let most = found.outcome.as_ref().map_or(0, |outcome| outcome.bound as usize);
            let is_of_copy = binding.id.copy == found.id.copy && binding.id != found.id;
            if let Some(place) = place
                && is_of_copy
                && found.put.len() < most
                && says(&found.exchange, &binding.v1)
            {
                found.put.push((place.clone(), binding.clone()));
            }
        }
    })
}

/// Whether a value stands in a request, not as a part of another one.
fn says(exchange: &Exchange, value: &str) -> bool {
    let Some(request) = exchange.request.as_ref().map(|request| &request.message) else {
        return false;
    };
    let is_part = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let has = |text: &[u8]| {
        memchr::memmem::find_iter(text, value).any(|at| {
            let before = at.checked_sub(1).and_then(|at| text.get(at));
            !is_part(before) && !is_part(text.get(at + value.len()))
        })
    };
    !value.is_empty()
        && (has(&request.target)
            || request.headers.iter().any(|(_, field)| has(field))
            || has(&request.body.bytes))
}

/// Which records are looked at.
struct Records {
    /// Where they are, where that is known.
    placed: Option<Placed>,
    /// The longest, in bytes.
    longest: usize,
}

impl Records {
    fn spans(&self, of: impl Fn(&Placed) -> &Vec<Span>) -> Option<&[Span]> {
        self.placed.as_ref().map(|placed| of(placed).as_slice())
    }
}

fn gather_of(
    folder: &RunFolder,
    ids: &[ReplayId],
    records: &Records,
) -> Result<(Vec<FoundExchange>, Servers), ReviewError> {
    let wanted: BTreeSet<ReplayId> = ids.iter().copied().collect();
    let recorded = recorded(&folder.file(names::EXCHANGES), &wanted, records)?;
    let mut replayed = replayed(&folder.file(names::OUTCOMES), &wanted, records)?;
    let mut differences: HashMap<ReplayId, Vec<Difference>> = HashMap::new();
    let spans = records.spans(|placed| &placed.differences);
    each_wanted(&folder.file(names::DIFFERENCES), &wanted, spans, |id, difference| {
        let of = differences.entry(id).or_default();
        if of.len() < DIFFERENCES {
            of.push(difference);
        }
    })?;
    let mut bindings: HashMap<ReplayId, Vec<Binding>> = HashMap::new();
    each_wanted(&folder.file(BINDINGS), &wanted, None, |id, binding| {
        bindings.entry(id).or_default().push(binding);
    })?;
    let routes = routes(folder)?;
    let shapes = Rc::new(shapes(&folder.file(names::CLUSTERS))?);
    let info = folder.info().ok();
    let trace_link = info.and_then(|info| info.trace_link()).map(Rc::new);
    let mut found = Vec::new();
    for &id in ids {
        // Copies of one exchange share what was recorded.
        let Some(exchange) = recorded.get(&id.exchange).cloned() else { continue };
        let differences = differences.remove(&id).unwrap_or_default();
        let route = differences
            .first()
            .map_or_else(|| route_of(routes.as_ref(), &exchange), |first| first.route.clone());
        found.push(FoundExchange {
            id,
            outcome: replayed.outcomes.remove(&id),
            route,
            differences,
            bindings: bindings.remove(&id).unwrap_or_default(),
            put: Vec::new(),
            before: replayed.before(id),
            shapes: Rc::clone(&shapes),
            trace_link: trace_link.clone(),
            exchange,
        });
    }
    Ok((found, replayed.servers))
}

/// How each cluster changed, by its id.
fn shapes(path: &Path) -> Result<HashMap<String, String>, ReviewError> {
    let mut shapes = HashMap::new();
    lines_of::<ReviewError>(path, |_, line| {
        if let Ok(cluster) = serde_json::from_slice::<Cluster>(line) {
            shapes.insert(cluster.id, cluster.shape);
        }
        Ok(())
    })?;
    Ok(shapes)
}

/// The learned routes, where the run was diffed.
pub(crate) fn routes(folder: &RunFolder) -> Result<Option<Routes>, ReviewError> {
    let path = folder.file(names::ROUTES);
    Ok(path.is_file().then(|| json(&path)).transpose()?)
}

/// The route of an exchange.
pub(crate) fn route_of(routes: Option<&Routes>, exchange: &Exchange) -> String {
    let Some(request) = exchange.request.as_ref().map(|request| &request.message) else {
        return "(no request)".to_owned();
    };
    let operation =
        rpc::may_name(&request.method, &request.target).then(|| rpc::operation(request)).flatten();
    match routes {
        Some(routes) => {
            routes.route_of(&request.method, &request.target, operation.as_deref()).to_string()
        }
        None => {
            let (method, target) = (&request.method, &request.target);
            [method, target].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join(" ")
        }
    }
}

/// Tells each line of a file that `pick` takes, in the order of the file; lines are looked at on
/// all cores.
pub(crate) fn each_picked<T: Send>(
    path: &Path,
    pick: impl Fn(&[u8]) -> Option<T> + Sync,
    mut each: impl FnMut(T),
) -> Result<(), ReviewError> {
    let source = lines::open(path).map_err(ReviewError::io(path))?;
    lines::each_line(
        source,
        pick,
        |_, picked| picked.flatten().into_iter().for_each(&mut each),
        |_| (),
    )
    .map_err(ReviewError::io(path))
}

/// The same of the lines in these parts of the file, where they are known.
fn each_picked_in<T: Send>(
    path: &Path,
    spans: Option<&[Span]>,
    longest: usize,
    pick: impl Fn(&[u8]) -> Option<T> + Sync,
    mut each: impl FnMut(T),
) -> Result<(), ReviewError> {
    let Some(spans) = spans else { return each_picked(path, pick, each) };
    placed::each_line(path, spans, longest, |line| pick(line).into_iter().for_each(&mut each))
        .map_err(ReviewError::io(path))
}

/// The id of a record, in whatever form its line is written.
fn id_of(line: &[u8]) -> Option<ReplayId> {
    #[derive(serde::Deserialize)]
    struct NamedExchange {
        id: ReplayId,
    }
    lines::id_of(line)
        .or_else(|| serde_json::from_slice::<NamedExchange>(line).ok().map(|named| named.id))
}

/// Records that begin with the id of a wanted request; a file that is not there has none.
fn each_wanted<T: serde::de::DeserializeOwned + Send>(
    path: &Path,
    wanted: &BTreeSet<ReplayId>,
    spans: Option<&[Span]>,
    mut each: impl FnMut(ReplayId, T),
) -> Result<(), ReviewError> {
    if !present(path) {
        return Ok(());
    }
    let pick = |line: &[u8]| {
        let id = id_of(line)?;
        wanted.contains(&id).then_some(())?;
        Some((id, serde_json::from_slice(line).ok()?))
    };
    each_picked_in(path, spans, usize::MAX, pick, |(id, record)| each(id, record))
}

fn recorded(
    path: &Path,
    wanted: &BTreeSet<ReplayId>,
    records: &Records,
) -> Result<HashMap<ExchangeId, Rc<Exchange>>, ReviewError> {
    let ids: BTreeSet<ExchangeId> = wanted.iter().map(|id| id.exchange).collect();
    let (longest, spans) = (records.longest, records.spans(|placed| &placed.exchanges));
    let mut found = HashMap::new();
    let pick = |line: &[u8]| {
        (line.len() <= longest && ids.contains(&id_of(line)?.exchange)).then_some(())?;
        match exchanges::read(line) {
            Ok(Line::Exchange(exchange)) => Some(exchange),
            _ => None,
        }
    };
    each_picked_in(path, spans, longest, pick, |exchange| {
        found.entry(exchange.id).or_insert_with(|| Rc::new(*exchange));
    })?;
    Ok(found)
}

/// What was replayed of wanted requests, and of those before them on their lanes.
#[derive(Default)]
struct ReplayedWanted {
    outcomes: HashMap<ReplayId, Outcome>,
    /// By connection and copy, in the order of the lane.
    flights: BTreeMap<(u64, u32), BTreeMap<u32, Flight>>,
    servers: Servers,
}

impl ReplayedWanted {
    fn before(&self, id: ReplayId) -> Vec<Flight> {
        let lane = self.flights.get(&lane_of(id));
        let ordinal = id.exchange.ordinal;
        let range = ordinal.saturating_sub(BEFORE)..ordinal;
        lane.into_iter()
            .flat_map(|lane| lane.range(range.clone()))
            .map(|(_, f)| f.clone())
            .collect()
    }
}

const fn lane_of(id: ReplayId) -> (u64, u32) {
    (id.exchange.connection, id.copy)
}

enum Picked {
    Outcome(Box<Outcome>),
    Before(Flight),
    Header(Box<outcomes::OutcomesHeader>),
}

fn replayed(
    path: &Path,
    wanted: &BTreeSet<ReplayId>,
    records: &Records,
) -> Result<ReplayedWanted, ReviewError> {
    let (longest, spans) = (records.longest, records.spans(|placed| &placed.outcomes));
    let mut lanes: BTreeMap<(u64, u32), BTreeSet<u32>> = BTreeMap::new();
    for &id in wanted {
        lanes.entry(lane_of(id)).or_default().insert(id.exchange.ordinal);
    }
    let is_before = |id: ReplayId| {
        let ordinal = id.exchange.ordinal;
        let next = ordinal.saturating_add(1)..=ordinal.saturating_add(BEFORE);
        lanes.get(&lane_of(id)).is_some_and(|lane| lane.range(next).next().is_some())
    };
    let pick = |line: &[u8]| {
        let id = id_of(line);
        if line.len() > longest || id.is_some_and(|id| !wanted.contains(&id) && !is_before(id)) {
            return None;
        }
        match outcomes::read(line).ok()? {
            outcomes::OutcomeLine::Outcome(outcome) if wanted.contains(&outcome.id) => {
                Some(Picked::Outcome(outcome))
            }
            outcomes::OutcomeLine::Outcome(outcome) => Some(Picked::Before(Flight::of(&outcome))),
            outcomes::OutcomeLine::Header(header) => Some(Picked::Header(header)),
            outcomes::OutcomeLine::End(_) => None,
        }
    };
    let mut found = ReplayedWanted::default();
    if !present(path) {
        return Ok(found);
    }
    each_picked_in(path, spans, longest, pick, |picked| match picked {
        Picked::Header(header) => {
            found.servers = Servers { mapped: header.mapped(), target: header.target };
        }
        Picked::Before(flight) => found.keep(flight),
        Picked::Outcome(outcome) => {
            found.keep(Flight::of(&outcome));
            // The last of several outcomes of one request counts, as for the diff.
            found.outcomes.insert(outcome.id, *outcome);
        }
    })?;
    Ok(found)
}

impl ReplayedWanted {
    fn keep(&mut self, flight: Flight) {
        let lane = self.flights.entry(lane_of(flight.id)).or_default();
        lane.insert(flight.id.exchange.ordinal, flight);
    }
}
