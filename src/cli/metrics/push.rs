//! `--metrics-push URL`: figures sent to a Pushgateway of Prometheus, for what no Prometheus can
//! reach or what ends before it looks (a job of CI). Pushed every few seconds, and at the end.

use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use reqwest::Url;
use tokio::sync::oneshot;

use super::{LOOK, PATIENCE};
use crate::cli::Failure;
use crate::cli::exit::printable;
use crate::replay::session::probe::innermost;
use crate::stop::Stop;
use crate::store::encrypt_by_ring;
use crate::store::shown::without_secrets;

/// How often figures are pushed.
const EVERY: Duration = Duration::from_secs(15);
/// Longest that one push may take.
const LONGEST: Duration = Duration::from_secs(10);
/// How long the last one is waited for once a signal came.
const AT_SIGNAL: Duration = Duration::from_millis(500);
/// Where a Pushgateway takes figures, behind which the labels of their group stand.
const JOB: &str = "/metrics/job/";
/// The text format of Prometheus, 0.0.4: Pushgateways read no OpenMetrics.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where figures are pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PushUrl(Url);

impl FromStr for PushUrl {
    type Err = String;

    /// A URL of a Pushgateway; without a path the job is `shadowtap`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "write the URL of a Pushgateway, as http://pushgateway:9091".to_owned();
        let mut url = Url::parse(text).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        if !url.path().contains(JOB) {
            let path = format!("{}{JOB}shadowtap", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(Self(url))
    }
}

/// Pushes figures until it is dropped.
pub(crate) struct MetricsPusher {
    shown: String,
    /// Told or dropped, the last figures are pushed, or none any more.
    last: oneshot::Sender<()>,
    /// How the last push went.
    ended: Receiver<Result<(), String>>,
}

impl MetricsPusher {
    /// Begins to push what `registry` holds.
    pub(crate) fn start(to: &PushUrl, registry: Arc<Registry>) -> Result<Self, Failure> {
        let shown = without_secrets(to.0.as_str());
        encrypt_by_ring();
        let client = reqwest::Client::builder()
            .connect_timeout(PATIENCE)
            .timeout(LONGEST)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client = client.map_err(|error| {
            Failure::usage(format!("--metrics-push {shown}: cannot be used")).because(&error)
        })?;
        let cannot = |error: std::io::Error| {
            Failure::unusable("cannot start the thread of --metrics-push").because(&error)
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let (last, mut asked) = oneshot::channel();
        let (told, ended) = sync_channel(1);
        let url = to.0.clone();
        let push = async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(EVERY) => {
                        if let Err(error) = pushed(&client, &url, &registry).await {
                            tracing::debug!("figures were not pushed: {error}");
                        }
                    }
                    word = &mut asked => match word {
                        Ok(()) => return pushed(&client, &url, &registry).await,
                        Err(_) => return Ok(()),
                    },
                }
            }
        };
        std::thread::Builder::new()
            .name("metrics-push".to_owned())
            .spawn(move || drop(told.send(runtime.block_on(push))))
            .map_err(cannot)?;
        Ok(Self { shown, last, ended })
    }

    /// Pushes the last figures and waits for that, hardly at all once `stop` is told; says why they
    /// were not taken.
    pub(crate) fn end(self, stop: &Stop) -> Option<String> {
        let Self { shown, last, ended } = self;
        let _ = last.send(());
        // Another push may be under way.
        let mut left = LONGEST * 2;
        let why = loop {
            let longest = if stop.is_told() { left.min(AT_SIGNAL) } else { left.min(LOOK) };
            match ended.recv_timeout(longest) {
                Ok(Ok(())) => return None,
                Ok(Err(why)) => break why,
                Err(RecvTimeoutError::Timeout) if !stop.is_told() && left > LOOK => left -= LOOK,
                Err(_) => break "it took too long".to_owned(),
            }
        };
        Some(printable(&format!("--metrics-push {shown}: the last figures were not taken ({why})")))
    }
}

/// Puts the figures in the place of those that were pushed before; says what went wrong.
async fn pushed(client: &reqwest::Client, url: &Url, registry: &Registry) -> Result<(), String> {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = encode(&mut text, registry);
    let ask = client.put(url.clone()).header(reqwest::header::CONTENT_TYPE, KIND);
    let answer = ask.body(plain(&text)).send().await;
    let mut answer = answer.map_err(|error| innermost(&error.without_url()))?;
    if answer.status().is_success() {
        return Ok(());
    }
    // The beginning of what it says is enough, whatever it says.
    let said = answer.chunk().await.ok().flatten().unwrap_or_default();
    let said = String::from_utf8_lossy(&said[..said.len().min(200)]).trim().to_owned();
    Err(format!("{} {said}", answer.status().as_u16()).trim_end().to_owned())
}

/// The text of OpenMetrics in the text format of Prometheus: counters are told by the names of
/// their samples, infos are gauges, and there are no units and no end.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = "";
    for line in text.lines() {
        if line.starts_with("# HELP ") {
            // The kind, which says how it is called here, comes behind.
            help = line;
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.rsplit_once(' '))
        {
            let (behind, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            let said = std::mem::take(&mut help).strip_prefix("# HELP ");
            if let Some((_, said)) = said.and_then(|rest| rest.split_once(' ')) {
                let _ = writeln!(out, "# HELP {name}{behind} {said}");
            }
            let _ = writeln!(out, "# TYPE {name}{behind} {kind}");
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::cli::metrics::registry;

    #[test]
    fn a_gateway_is_named_by_its_url() {
        let of = |text: &str| text.parse::<PushUrl>().map(|url| url.0.to_string());
        let job = Ok("http://push:9091/metrics/job/shadowtap".to_owned());
        assert_eq!(of("http://push:9091"), job);
        assert_eq!(of("http://push:9091/"), job);
        let own = "https://push/metrics/job/shop/instance/ci-7";
        assert_eq!(of(own), Ok(own.to_owned()));
        let below = Ok("http://push/below/metrics/job/shadowtap".to_owned());
        assert_eq!(of("http://push/below"), below);
        for wrong in ["push:9091", "ftp://push", "http://", ""] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_gateway_cannot_read_is_told_in_its_words() {
        let text = "# HELP a_build The program.\n# TYPE a_build info\n\
                    a_build_info{version=\"1\"} 1\n\
                    # HELP a_sent Requests sent.\n# TYPE a_sent counter\na_sent_total 7\n\
                    # HELP a_late_seconds How late.\n# TYPE a_late_seconds histogram\n\
                    # UNIT a_late_seconds seconds\na_late_seconds_count 1\n\
                    # TYPE a_open gauge\na_open 3\n# EOF\n";
        let expected = "# HELP a_build_info The program.\n# TYPE a_build_info gauge\n\
                        a_build_info{version=\"1\"} 1\n\
                        # HELP a_sent_total Requests sent.\n# TYPE a_sent_total counter\n\
                        a_sent_total 7\n\
                        # HELP a_late_seconds How late.\n# TYPE a_late_seconds histogram\n\
                        a_late_seconds_count 1\n# TYPE a_open gauge\na_open 3\n";
        assert_eq!(plain(text), expected);
    }

    /// Answers one push with `status`; gives its head and its body.
    fn gateway(status: &'static str) -> (PushUrl, std::thread::JoinHandle<(String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://u:secret@{}", listener.local_addr().unwrap());
        let serve = move || {
            let (stream, _) = listener.accept().unwrap();
            let mut from = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(from.read_line(&mut head).unwrap(), 0);
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            from.read_exact(&mut body).unwrap();
            let mut to: TcpStream = stream;
            write!(to, "HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nwhy\n").unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        (url.parse().unwrap(), std::thread::spawn(serve))
    }

    #[test]
    fn the_last_figures_are_pushed_and_a_refusal_is_told() {
        let stop = Stop::new().unwrap();
        let (url, asked) = gateway("200 OK");
        let pusher = MetricsPusher::start(&url, Arc::new(registry())).unwrap();
        assert_eq!(pusher.end(&stop), None);
        let (head, body) = asked.join().unwrap();
        assert!(head.starts_with("PUT /metrics/job/shadowtap HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("authorization: Basic dTpzZWNyZXQ="), "{head}");
        assert!(body.contains("# TYPE shadowtap_build_info gauge\n"), "{body}");
        let (url, asked) = gateway("400 Bad Request");
        let told = MetricsPusher::start(&url, Arc::new(registry())).unwrap().end(&stop).unwrap();
        assert!(told.ends_with("the last figures were not taken (400 why)"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        asked.join().unwrap();
        // Nobody is there any more.
        let told = MetricsPusher::start(&url, Arc::new(registry())).unwrap().end(&stop).unwrap();
        assert!(told.contains("were not taken ("), "{told}");
    }
}
