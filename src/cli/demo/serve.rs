//! `shadowtap demo serve` and `demo customers`: the parts of the demo one by one, for a cluster,
//! where each is a Deployment or a Job of its own.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cli::progress::Progress;
use crate::cli::signals::{self, Grace};
use crate::cli::{Exit, Failure, Global, output};
use crate::demo::clients;
use crate::demo::provider::Provider;
use crate::demo::{ShopFaults, shop};

/// One part of the demo.
#[derive(Debug, clap::Subcommand)]
pub(super) enum DemoPart {
    /// Serve version 1 or 2 of the shop, or its payment provider, until a signal comes
    #[command(after_help = "\
Examples:
  shadowtap demo serve provider --listen 0.0.0.0:8081
  shadowtap demo serve v1 --listen 0.0.0.0:8080 \\
      --provider payments.example:8081")]
    Serve(Serve),
    /// Send the demo's customers to a shop, and say what they did
    #[command(after_help = "Example:\n  shadowtap demo customers 127.0.0.1:8080 --sessions 50")]
    Customers(Customers),
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Target")]
pub(super) struct Serve {
    /// Which part
    #[arg(value_enum)]
    what: What,
    /// Where to listen; port 0 chooses a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The shop's payment provider, or the mock in its place
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8081")]
    provider: String,
    /// Serve version 2 without the faults that are planted in it
    #[arg(long)]
    no_faults: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The shop as it is
    V1,
    /// The shop as it shall be, with faults
    V2,
    /// The payment provider
    Provider,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which requests")]
pub(super) struct Customers {
    /// The shop
    #[arg(value_name = "HOST:PORT")]
    shop: String,
    /// How many sessions arrive
    #[arg(long, value_name = "N", default_value_t = clients::CustomerSettings::default().sessions)]
    sessions: u32,
    /// Another seed is another day
    #[arg(long, value_name = "N", default_value_t = clients::CustomerSettings::default().seed)]
    seed: u64,
}

/// Runs one part.
pub(super) fn run(part: DemoPart, global: &Global) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("shop")
        .enable_all()
        .build()
        .map_err(|error| Failure::unusable("cannot start threads").because(&error))?;
    match part {
        DemoPart::Serve(serve) => self::serve(&serve, &runtime),
        DemoPart::Customers(customers) => visit(&customers, &runtime, global),
    }
}

fn serve(serve: &Serve, runtime: &tokio::runtime::Runtime) -> Result<Exit, Failure> {
    let stop = signals::word()?;
    // Until the program has ended: the signal is how it ends, and no interruption.
    std::mem::forget(Grace::ask());
    let cannot = |error: std::io::Error| {
        Failure::unusable(format!(
            "cannot listen on {}: choose another --listen, or port 0 for a free one",
            serve.listen
        ))
        .because(&error)
    };
    let version = match serve.what {
        What::Provider => {
            let provider = runtime.block_on(Provider::start_at(serve.listen)).map_err(cannot)?;
            output::print(&format!("provider: listening on {}\n", provider.address()))?;
            while !stop.wait(None) {}
            let charged = provider.charges().values().sum::<u64>();
            output::print(&format!("provider: charged {charged} times\n"))?;
            return Ok(Exit::Done);
        }
        What::V1 => 1,
        What::V2 => 2,
    };
    let planted = version == 2 && !serve.no_faults;
    let settings = shop::ShopSettings {
        version,
        faults: if planted { ShopFaults::ALL } else { ShopFaults::NONE },
        provider: resolve("--provider", &serve.provider)?,
        avoid_ports: vec![],
    };
    let shop = runtime.block_on(shop::start_at(serve.listen, settings)).map_err(cannot)?;
    output::print(&format!("v{version}: listening on {}\n", shop.address()))?;
    while !stop.wait(None) {}
    Ok(Exit::Done)
}

fn visit(
    customers: &Customers,
    runtime: &tokio::runtime::Runtime,
    global: &Global,
) -> Result<Exit, Failure> {
    let shop = resolve("HOST:PORT", &customers.shop)?;
    let settings = clients::CustomerSettings {
        sessions: customers.sessions,
        seed: customers.seed,
        ..clients::CustomerSettings::default()
    };
    let progress = Arc::new(Progress::start(global, "shop", None));
    let answered = Arc::new(AtomicU64::new(0));
    let tick = move || {
        let done = answered.fetch_add(1, Ordering::Relaxed) + 1;
        progress.set(done, || format!("{done} requests"));
    };
    let done = runtime.block_on(clients::drive(shop, settings, tick));
    output::print(&format!(
        "{} requests of {} customers, {} orders, {} sessions broke off\n",
        done.requests, customers.sessions, done.orders, done.broken
    ))?;
    if done.requests == 0 {
        return Err(Failure::target(format!(
            "{}: no request was answered: is the shop there?",
            customers.shop
        )));
    }
    Ok(Exit::Done)
}

/// The address of a name with its port: looked up once, as a Service keeps its address.
fn resolve(flag: &str, name: &str) -> Result<SocketAddr, Failure> {
    // As it stands in a browser, too.
    let name = name.strip_prefix("http://").unwrap_or(name).trim_end_matches('/');
    let wrong = || Failure::usage(format!("{flag} {name}: write a host and a port, as shop:8080"));
    if name.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(wrong());
    }
    let found = name.to_socket_addrs().map_err(|error| {
        Failure::target(format!("{flag} {name}: the name cannot be resolved")).because(&error)
    })?;
    found.into_iter().next().ok_or_else(wrong)
}
