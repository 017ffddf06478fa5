//! What becomes a parameter of a route, by its shape or by how many there are, and that learning
//! stays bounded.

use super::*;

fn learned(targets: &[&str]) -> Routes {
    let mut routes = Routes::new(vec![]);
    for target in targets {
        routes.learn(b"GET", target.as_bytes());
    }
    routes.settle();
    routes
}

#[test]
fn an_encoded_target_in_a_path_is_no_name_of_the_api() {
    for target in ["/r/https%3A%2F%2Fx.example%2Fcb%3Ftoken%3Dabc", "/r/q%3dabc"] {
        let route = learned(&[target]).route(b"GET", target.as_bytes());
        assert_eq!(&*route, "GET /r/{id}", "{target}");
    }
}

#[test]
fn targets_that_are_no_path_have_a_name_too() {
    let routes = Routes::new(vec![]);
    for (method, target, name) in [
        ("OPTIONS", "*", "OPTIONS *"),
        ("CONNECT", "shop.test:443", "CONNECT {authority}"),
        ("POST", "", "POST {unknown}"),
    ] {
        assert_eq!(&*routes.route(method.as_bytes(), target.as_bytes()), name);
    }
}

#[test]
fn learning_costs_no_more_than_n_log_n() {
    let word = |n: usize| -> String {
        (0..3).map(|at| char::from(b'a' + (n / 26_usize.pow(at) % 26) as u8)).collect()
    };
    let paths: [&dyn Fn(usize) -> String; 4] = [
        &|n| format!("/{}", word(n)),
        &|n| format!("/{0}/{0}/{0}", word(n)),
        &|n| format!("/a/{}/{}", word(n % 90), word(n)),
        &|n| format!("/{}-{n}/x/{}", word(n), word(n * 7)),
    ];
    for path in paths {
        steps::hold_to_n_log_n(2_000, |n| {
            let mut routes = Routes::new(vec![]);
            (0..n).for_each(|n| routes.learn(b"GET", path(n).as_bytes()));
            routes.settle();
        });
    }
}

#[test]
fn methods_of_a_service_are_routes_however_many_they_are() {
    let mut routes = Routes::new(vec![]);
    let path = |service: usize, method: usize| format!("/shop.v{service}.Shop/Do{method}Things");
    let word = |n: usize| char::from(b'a' + (n % 26) as u8).to_string().repeat(1 + n / 26);
    let named = |n: usize| format!("/shop.v1.Orders/Get{}", word(n));
    (0..200).for_each(|n| routes.learn(b"POST", named(n).as_bytes()));
    (0..40).for_each(|n| routes.learn(b"POST", path(n, 1).as_bytes()));
    routes.settle();
    for path in [named(0), named(199)] {
        assert_eq!(*routes.route(b"POST", path.as_bytes()), *format!("POST {path}"));
    }
    assert!(!names_service("index.Html/x") && !names_service("logo.png"));
}

#[test]
fn shapes_need_no_samples() {
    let routes = learned(&[]);
    for (target, route) in [
        ("/orders/8231/items/2", "GET /orders/{id}/items/{n}"),
        ("/orders/8231?full=1", "GET /orders/{id}"),
        ("http://shop.local/orders/1", "GET /orders/{id}"),
        ("/", "GET /"),
        ("/v1/users/f81d4fae-7dec-41d0-a765-00a0c91e6bf6", "GET /v1/users/{id}"),
        ("/reports/2026-11-22.csv", "GET /reports/{date}.csv"),
        ("/products/P1001", "GET /products/{id}"),
        ("/logs/dt=2026-11-22/part-1.gz", "GET /logs/dt={date}/part-1.gz"),
        ("/logs/year=2026/hour=09", "GET /logs/year={id}/hour={id}"),
        ("/x/kind=a/1", "GET /x/kind=a/{id}"),
        ("/exports/totals-1795341600123.csv", "GET /exports/{id}.csv"),
        ("/exports/2026-11-22-totals", "GET /exports/{id}"),
        ("/exports/totals-2026", "GET /exports/totals-2026"),
        ("/users/jane.doe@example.org/cart", "GET /users/{email}/cart"),
        ("/users/me", "GET /users/me"),
        ("/status/404;v=1", "GET /status/{id}"),
        ("/a%20b/{x}", "GET /a%20b/%7Bx%7D"),
        ("*", "GET *"),
        ("", "GET {unknown}"),
    ] {
        assert_eq!(&*routes.route(b"GET", target.as_bytes()), route, "{target}");
    }
    assert_eq!(&*routes.route(b"CONNECT", b"shop.local:443"), "CONNECT {authority}");
}

#[test]
fn what_stands_behind_the_sign_of_its_kind_is_a_value() {
    for (path, name) in [
        ("/rooms/!jsVtLhgegXzQwRbfTM:chat.test/state", "GET /rooms/{id}/state"),
        ("/rooms/%21jsVtLhgegXzQwRbfTM%3Achat.test/state", "GET /rooms/{id}/state"),
        ("/user/@ann0:chat.test/filter", "GET /user/{id}/filter"),
        ("/room/%23talk-0:chat.test", "GET /room/{id}"),
        ("/event/$kJ8sQx0_vLw2T9bZfNn5rYc1XhEkJ8sQx0_vLw2T9bZ", "GET /event/{id}"),
        ("/@scope/package", "GET /@scope/package"),
        ("/$metadata", "GET /$metadata"),
    ] {
        assert_eq!(&*learned(&[path]).route(b"GET", path.as_bytes()), name);
    }
}

#[test]
fn slugs_are_found_by_cardinality_in_any_order() {
    let mut targets: Vec<String> =
        (0..40).map(|n| format!("/products/red-shoe-no-{}/reviews", "x".repeat(n))).collect();
    targets.extend(["/products/search", "/products/new", "/health"].map(str::to_owned));
    let forward = learned(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    let backward = learned(&targets.iter().rev().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        forward.names(),
        [
            "GET /health",
            "GET /products/new",
            "GET /products/search",
            "GET /products/{slug}/reviews"
        ]
    );
    assert_eq!(forward.names(), backward.names());
    assert_eq!(
        &*forward.route(b"GET", b"/products/blue-shoe-no-9/reviews"),
        "GET /products/{slug}/reviews"
    );
}

#[test]
fn identifiers_of_which_some_look_like_slugs_are_one_route() {
    let mut targets: Vec<String> = (0..40)
        .map(|n| format!("/carts/cart-{}-x/items", "ab".repeat(n % 7 + 1) + &n.to_string()))
        .collect();
    targets.extend(
        ["/carts/8231/items", "/carts/f81d4fae-7dec-41d0-a765-00a0c91e6bf6/items", "/carts/new"]
            .map(str::to_owned),
    );
    let forward = learned(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    let backward = learned(&targets.iter().rev().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(forward.names(), ["GET /carts/new", "GET /carts/{id}/items"]);
    assert_eq!(backward.names(), forward.names());
    let read: Routes = serde_json::from_str(&serde_json::to_string(&forward).unwrap()).unwrap();
    for target in ["/carts/1/items", "/carts/a-b-c/items", "/carts/c-3f2a91c0/items"] {
        assert_eq!(&*forward.route(b"GET", target.as_bytes()), "GET /carts/{id}/items", "{target}");
        assert_eq!(&*read.route(b"GET", target.as_bytes()), "GET /carts/{id}/items", "{target}");
    }
}

#[test]
fn a_scan_of_paths_stays_bounded() {
    let mut routes = Routes::new(vec![]);
    for n in 0..100_000_u32 {
        let word: String =
            n.to_string().bytes().map(|digit| (digit - b'0' + b'a') as char).collect();
        routes.learn(b"GET", format!("/x/{word}/y/{word}").as_bytes());
        routes.learn(word.as_bytes(), format!("/{word}").as_bytes());
    }
    routes.settle();
    assert!(
        routes.nodes.len() < 2 * MAX_NODES && routes.names().len() < 500,
        "{} {}",
        routes.nodes.len(),
        routes.names().len()
    );
    routes.learn(b"GET", "/deep".repeat(1_000).as_bytes());
    assert!(routes.route(b"GET", "/deep".repeat(1_000).as_bytes()).ends_with("/**"));
}

#[test]
fn nothing_learned_is_nothing_to_settle() {
    let mut routes = Routes::default();
    routes.settle();
    assert_eq!(&*routes.route(b"GET", b"/a/7"), "GET /a/{id}");
    assert!(routes.names().is_empty());
}

#[test]
fn patterns_come_first() {
    let patterns =
        ["GET /orders/{order}", "* /files/**", "GET /index.php?action=list", "GET /u/{name}.json"];
    let routes = Routes::new(patterns.iter().map(|text| text.parse().unwrap()).collect());
    for (method, target, route) in [
        ("GET", "/orders/8", "GET /orders/{order}"),
        ("POST", "/orders/8", "POST /orders/{id}"),
        ("PUT", "/files/a/b/c", "PUT /files/**"),
        ("GET", "/index.php?x=1&action=list", "GET /index.php?action=list"),
        ("GET", "/index.php?action=show", "GET /index.php"),
        ("GET", "/u/jane.json", "GET /u/{name}.json"),
    ] {
        assert_eq!(&*routes.route(method.as_bytes(), target.as_bytes()), route, "{target}");
    }
    for text in ["", "GET", "GET orders", "GET /a/{b", "GET /a**"] {
        assert!(text.parse::<RoutePattern>().is_err(), "{text}");
    }
}

#[test]
fn the_file_round_trips() {
    let mut targets: Vec<String> = (0..40).map(|n| format!("/p/red-shoe-no-{n}")).collect();
    targets.extend((0..90).map(|n| {
        format!("/w/{}", "ab".repeat(n % 9 + 1).replace('b', &"cdefghijkl"[n / 9..n / 9 + 1]))
    }));
    targets.extend(["/p/new", "/orders/1/items/2"].map(str::to_owned));
    let routes = learned(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    let read: Routes = serde_json::from_str(&serde_json::to_string(&routes).unwrap()).unwrap();
    for target in &targets {
        assert_eq!(
            read.route(b"GET", target.as_bytes()),
            routes.route(b"GET", target.as_bytes()),
            "{target}"
        );
    }
    assert_eq!(read.names(), routes.names());
}
