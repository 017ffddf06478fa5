//! Where requests may go: resolved once, held against the servers of the capture, and reached
//! before the first request.

use url::Url;

use super::flags::ReplayShape;
use crate::cli::exit::printable;
use crate::cli::{Exit, Failure};
use crate::replay::plan::Wishes;
use crate::replay::plan::guard::Captured;
use crate::replay::plan::rewrite::Rewriter;
use crate::replay::session::client::Proxy;
use crate::replay::session::forward::Forward;
use crate::replay::session::probe::{self, Unready, Unusable};
use crate::replay::session::ready::ReadyCheck;
use crate::replay::session::target::{Target, TargetError};
use crate::replay::{ReplayOptions, ReplayStop, Transport};
use crate::run;

/// Everything that requests may be sent to.
pub(super) struct Targets {
    /// v2.
    pub(super) target: Target,
    /// v1 in staging.
    pub(super) baseline: Option<Target>,
    /// Where mapped hosts go.
    pub(super) mapped: Vec<Target>,
    /// How requests reach them.
    pub(super) transport: Transport,
}

impl Targets {
    /// Checks and resolves all that `shape` names.
    pub(super) fn resolve(shape: &ReplayShape) -> Result<Self, Failure> {
        // Only the proxy need know the names behind it.
        let find = if shape.proxy.is_some() { Target::behind_proxy } else { Target::resolve };
        let resolve = |url: &str| find(url).map_err(|error| unresolved(&error));
        let proxy = shape.proxy.as_ref().map(proxy).transpose()?;
        Ok(Self {
            target: resolve(shape.target.as_deref().unwrap_or_default())?,
            baseline: shape.baseline.as_deref().map(resolve).transpose()?,
            mapped: shape.map_host.iter().map(|map| resolve(&map.url)).collect::<Result<_, _>>()?,
            transport: match shape.negotiates {
                true => Transport::Client { proxy },
                false => Transport::Wire,
            },
        })
    }

    /// How a plan is run against them, as `shape` has it; begun at once, of settings that tell
    /// nothing.
    pub(super) fn options(self, shape: &ReplayShape, run: &str) -> ReplayOptions {
        let Self { target, baseline, mapped, transport } = self;
        ReplayOptions {
            run: run.to_owned(),
            target,
            mapped,
            baseline,
            trust: shape.trust.clone(),
            transport,
            allow_downgrade: shape.allow_downgrade,
            h2: shape.h2,
            arrivals: shape.arrivals,
            think: shape.think,
            timeout_ns: shape.timeout_ns,
            is_patient: shape.is_patient,
            max_connections: shape.max_connections,
            workers: shape.workers,
            max_body: shape.max_body,
            realtime: shape.realtime,
            start_at: None,
            max_lateness_ns: shape.max_lateness_ns,
            settings: serde_json::Value::Null,
            traces: shape.traces.as_ref().map(|traces| traces.of_run(run)),
            under_way: None,
            redaction: None,
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Target> {
        [&self.target].into_iter().chain(&self.mapped).chain(&self.baseline)
    }

    /// Why one of them cannot be used; v1 in staging is called so.
    fn unusable(&self, target: &Target, why: Unusable) -> Failure {
        let is_baseline = self.baseline.as_ref().is_some_and(|own| std::ptr::eq(own, target));
        let role = if is_baseline { "the baseline " } else { "" };
        let shown = format!("{role}{}", target.shown());
        Failure::target(match why {
            Unusable::NoConnection(why) => format!(
                "nobody answers at {shown} ({why}): is it started? --wait-ready URL waits for it"
            ),
            Unusable::Tls(why) => format!(
                "no TLS connection to {shown} ({why}): name who signed its certificate with --ca \
                 FILE, check nobody with --insecure, or use http://"
            ),
            Unusable::Refused(end) => format!(
                "refused: {shown} is forwarded to {end}, which served the capture; point it at \
                 staging, or add --allow-captured-server if it is meant"
            ),
        })
    }

    fn proxy(&self) -> Option<&Target> {
        match &self.transport {
            Transport::Client { proxy: Some(proxy) } => Some(&proxy.target),
            _ => None,
        }
    }

    /// What is to be sent to them, as `shape` has it.
    pub(super) fn wishes(&self, shape: &ReplayShape, run: &str) -> Result<Wishes, Failure> {
        let hosts = shape.map_host.iter().zip(&self.mapped).zip(1..);
        let rewriter = Rewriter {
            set: shape.header.clone(),
            remove: shape.remove_header.clone(),
            marker: shape.marker.then(|| run.to_owned()),
            targets: shape.rewrite.clone(),
            traces: shape.traces.as_ref().map(|traces| traces.of_run(run)),
            hosts: hosts
                .map(|((map, target), number)| (map.host.clone(), number, target.authority()))
                .collect(),
        };
        rewriter.check().map_err(Failure::usage)?;
        Ok(Wishes {
            selection: shape.selection.clone(),
            protocol: shape.protocol,
            pacing: shape.pacing,
            shard: shape.shard,
            rewriter,
            parts: None,
            producers: false,
            lanes: shape.lanes.clone(),
            unnamed_host: Some(self.target.authority()),
        })
    }

    /// Refuses what can be the captured server. v1 in staging may be it only where the user says
    /// so: it too gets every request again.
    pub(super) fn refuse_captured(
        &self,
        captured: &Captured,
        shape: &ReplayShape,
    ) -> Result<(), Failure> {
        if shape.allow_captured_server {
            return Ok(());
        }
        // What is asked whether it is ready is asked by a request, too.
        // One that cannot be found is not there yet: who waits for it judges it again.
        let check = shape.wait_ready.as_ref().and_then(ReadyCheck::of);
        let ready = check.and_then(|check| Target::serving(&check.url).ok());
        let all: Vec<&Target> = self.all().chain(self.proxy()).chain(&ready).collect();
        let finding = captured.judge(&all);
        if let Some(unknown) = finding.unknown {
            tracing::warn!("{}", printable(&unknown));
        }
        match finding.objection {
            Some(objection) => Err(Failure::target(format!("refused: {objection}"))),
            None => Ok(()),
        }
    }

    /// Makes sure that somebody is there, and nobody who is refused.
    pub(super) fn reach(
        &self,
        shape: &ReplayShape,
        captured: &Captured,
        stop: &ReplayStop,
    ) -> Result<(), Failure> {
        let refused = |end| !shape.allow_captured_server && captured.served_at(end);
        if let Some((url, check)) =
            shape.wait_ready.as_ref().and_then(|url| Some((url, ReadyCheck::of(url)?)))
        {
            let wait = shape.wait_for_ns;
            probe::wait_ready(&check, &shape.trust, wait, stop, refused).map_err(|why| {
                let shown = run::without_secrets(url);
                Failure::target(match why {
                    Unready::Late(why) => format!("--wait-ready {shown}: {why}"),
                    Unready::Refused(end) => format!(
                        "refused: --wait-ready {shown} leads to {end}, which served the capture; \
                         point it at staging, or add --allow-captured-server if it is meant"
                    ),
                })
            })?;
        }
        if self.all().any(|target| target.tls) {
            shape.trust.config(&[]).map_err(|error| {
                let failure = Failure::unusable(error.to_string());
                match std::error::Error::source(&error) {
                    Some(source) => failure.because(source),
                    None => failure,
                }
            })?;
        }
        if let Some(proxy) = self.proxy() {
            // What is behind it is reached through it, request by request.
            return match probe::reach(proxy, &shape.trust, refused) {
                Ok(_) => Ok(()),
                Err(Unusable::NoConnection(why)) => Err(Failure::target(format!(
                    "nobody answers at the proxy {} ({why}): is it started, and --proxy right?",
                    proxy.shown()
                ))),
                Err(why) => Err(self.unusable(proxy, why)),
            };
        }
        for target in self.all() {
            let forward = probe::reach(target, &shape.trust, refused)
                .map_err(|why| self.unusable(target, why))?;
            if forward == Forward::Unknown {
                tracing::info!(
                    "whether {} is forwarded to the captured server cannot be seen from here",
                    target.shown()
                );
            }
        }
        Ok(())
    }
}

fn proxy(url: &Url) -> Result<Proxy, Failure> {
    Proxy::resolve(url.as_str()).map_err(|error| match error {
        TargetError::NotAUrl(_) | TargetError::TooMuch(..) => Failure::usage(
            "--proxy takes the URL of an HTTP proxy, for example http://proxy.staging:3128",
        ),
        error @ (TargetError::Resolve(..) | TargetError::ResolveTimeout(..)) => {
            Failure::target(format!("the proxy of --proxy: {error}"))
        }
    })
}

fn unresolved(error: &TargetError) -> Failure {
    let exit = match error {
        TargetError::NotAUrl(_) | TargetError::TooMuch(..) => Exit::Usage,
        TargetError::Resolve(..) | TargetError::ResolveTimeout(..) => Exit::Target,
    };
    let failure = Failure::new(exit, error.to_string());
    match std::error::Error::source(error) {
        Some(source) => failure.because(source),
        None => failure,
    }
}
