//! The demo's shop: its versions differ in what is planted and in nothing else.

use std::time::Duration;

use shadowtap::demo::clients::{self, Settings as Clients};
use shadowtap::demo::provider::Provider;
use shadowtap::demo::{Faults, shop};

fn few() -> Clients {
    Clients { sessions: 24, between_sessions: Duration::from_millis(4), reading: Duration::from_millis(2), seed: 5 }
}

async fn shop(version: u8, faults: Faults, provider: &Provider) -> shadowtap::demo::Server {
    let settings = shop::Settings { version, faults, provider: provider.address(), avoid_ports: vec![] };
    shop::start(settings).await.expect("loopback has a free port")
}

#[tokio::test]
async fn the_customers_do_the_same_in_every_run_and_a_fault_charges_twice() {
    let mut done = Vec::new();
    let mut charges = Vec::new();
    for faults in [Faults::NONE, Faults::NONE, Faults { charges_twice: true, ..Faults::NONE }] {
        let provider = Provider::start().await.unwrap();
        let shop = shop(2, faults, &provider).await;
        done.push(clients::drive(shop.address(), few(), || ()).await);
        charges.push(provider.charges());
    }
    assert_eq!(done[0], done[1]);
    assert_eq!(done[0], done[2]);
    assert_eq!(done[0].broken, 0);
    assert!(done[0].requests > 100 && done[0].orders > 3, "{done:?}");
    assert_eq!(charges[0], charges[1]);
    assert!(charges[0].values().all(|&times| times == 1), "{charges:?}");
    assert!(charges[2].values().any(|&times| times == 2), "{charges:?}");
    assert!(charges[2].values().any(|&times| times == 1), "{charges:?}");
}
