// SPDX-License-Identifier: Apache-2.0
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::base::diagnostics::Origin;
use crate::base::log_codes::Code;
use crate::config::{Builder, Environment, Server};
use crate::process::Process;
use crate::process::counters::CELLS;
use crate::process::counters::recent::RecentFailure;

const HOSTILE: &str = "<script>alert('x')</script>\"\\\n& \u{e9}";

fn config() -> Arc<Config> {
    let process = Process::default();
    let cells = (0..CELLS).map(|_| AtomicU64::new(0)).collect();
    process.counters.attach(Box::leak(cells));
    let origin = Origin {
        file: "httpd.conf".into(),
        line: 1,
    };
    let mut builder = Builder::new(Arc::new(process), Environment::new("/"));
    builder.add_server(Server::new("a.test", origin));
    let config = builder.compile().0.unwrap();
    config.counters().recent().unwrap().add(RecentFailure {
        time: 0,
        client: HOSTILE.to_owned(),
        sni: Some(HOSTILE.to_owned()),
        host: HOSTILE.to_owned(),
        code: Code::NotTls.number(),
        reason: HOSTILE.to_owned(),
        ja4: Some(HOSTILE.to_owned()),
        alert: None,
    });
    config
}

fn ask(config: &Config, kind: StatusKind, query: &str) -> StatusResponse {
    let request = StatusRequest {
        query,
        now: 86_400,
        ..StatusRequest::default()
    };
    respond(config, kind, &request)
}

#[test]
fn text_of_clients_is_no_markup() {
    let config = config();
    let filter: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    let page = ask(&config, StatusKind::Status, &format!("filter={filter}")).body;
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert!(page.contains("&lt;script&gt;alert('x')&lt;/script&gt;&quot;\\\n&amp; \u{e9}"));
    // In the value of the filter, too, which is in lower case and has no line end.
    assert!(page.contains("value=\"&lt;script&gt;"));
}

#[test]
fn text_of_clients_in_json() {
    let json = ask(&config(), StatusKind::Status, "format=json").body;
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    let last = &parsed["failures"]["last"][0];
    for member in ["client", "server_name", "host", "reason", "ja4"] {
        assert_eq!(last[member], HOSTILE);
    }
    assert_eq!(
        (&last["code"], &last["time"]),
        (&"TLS1001".into(), &"1970-01-01T00:00:00Z".into())
    );
}

#[test]
fn metrics_have_no_text_of_clients() {
    let metrics = ask(&config(), StatusKind::Metrics, "sites=on").body;
    assert!(!metrics.contains("script") && metrics.contains("mod_tls_sites "));
}

#[test]
fn a_policy_allows_only_what_has_the_nonce() {
    let config = config();
    let [one, other] = [(); 2].map(|()| ask(&config, StatusKind::Status, ""));
    assert_ne!(one.policy, other.policy);
    let nonce = one.policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(one.body.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert_eq!(ask(&config, StatusKind::Metrics, "").policy, NOTHING);
}

#[test]
fn odd_parameters() {
    let config = config();
    for query in [
        "page=0&per_page=0",
        "page=99999999999999999999",
        "sort=%ff%zz&&=&page",
        "per_page=18446744073709551615",
    ] {
        let json = ask(&config, StatusKind::Status, &format!("format=json&{query}")).body;
        assert!(json.contains("\"page\": 1"), "{query}");
    }
}
