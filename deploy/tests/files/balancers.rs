//! Holds the load balancers' configurations against each other and against the code. What the balancers
//! themselves say of them is deploy/checks/balancers; what they do is tried in the crate `cluster`.

use deploy::known::{self, root};
use serde_json::Value;
use std::{collections::BTreeSet, fs, time::Duration};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Both, without comments.
fn nginx() -> String {
    code(&read("deploy/nginx/nginx.conf"))
}

fn haproxy() -> String {
    code(&read("deploy/haproxy/haproxy.cfg"))
}

fn code(conf: &str) -> String {
    let lines = conf.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// What follows a directive, each time that it is there; `timeout server` is not `timeout server-fin`.
fn values<'c>(conf: &'c str, directive: &str) -> Vec<&'c str> {
    let lines = conf.lines().filter_map(|line| line.strip_prefix(directive));
    let lines = lines.filter(|rest| directive.ends_with(' ') || rest.starts_with([' ', ';']));
    let values: Vec<&str> = lines.map(|rest| rest.trim().trim_end_matches(';')).collect();
    assert!(!values.is_empty(), "there is no {directive}");
    values
}

fn seconds(value: &str) -> Duration {
    let (number, unit) = value.split_at(value.len() - 1);
    let number: u64 = number.parse().unwrap_or_else(|_| panic!("{value} is no time"));
    Duration::from_secs(match unit {
        "s" => number,
        "m" => number * 60,
        _ => panic!("{value} is no time in seconds or minutes"),
    })
}

/// Between two texts.
fn between<'c>(text: &'c str, start: &str, end: &str) -> &'c str {
    let rest = text.split_once(start).unwrap_or_else(|| panic!("there is no {start}")).1;
    rest.split_once(end).unwrap_or_else(|| panic!("nothing ends {start}")).0
}

#[test]
fn a_socket_may_be_silent_for_longer_than_two_heartbeats() {
    let heartbeat = gateway::config::Config::default().heartbeat;
    let nginx = nginx();
    let gateways = between(&nginx, "location @gateways {", "proxy_pass");
    let haproxy = haproxy();
    let silences = [
        values(gateways, "proxy_read_timeout"),
        values(gateways, "proxy_send_timeout"),
        values(&haproxy, "timeout tunnel"),
    ];
    for silence in silences.concat() {
        assert!(seconds(silence) > heartbeat * 2, "{silence}: the heartbeat is {heartbeat:?}");
        assert_eq!(silence, "90s", "docs/operations.md and the tests of `cluster` say so");
    }
}

#[test]
fn an_api_is_waited_for_until_it_gives_up_itself() {
    let limit = api::config::Config::default().request_timeout;
    let (nginx, haproxy) = (nginx(), haproxy());
    let apis = between(&nginx, "location / {", "proxy_pass");
    let defaults = between(&haproxy, "\ndefaults\n", "\nfrontend ");
    for wait in [values(apis, "proxy_read_timeout"), values(defaults, "timeout server")].concat() {
        assert!(seconds(wait) > limit, "{wait}: the api takes up to {limit:?}");
    }
    // The answer to an upgrade comes after a gateway's own questions.
    let patience = gateway::config::Config::default().lanes.query.give_up_after;
    let gateways = between(&haproxy, "\nbackend gateways\n", "\nbackend ");
    assert!(seconds(values(gateways, "timeout server")[0]) > patience * 2);
}

#[test]
fn idle_connections_are_let_go_before_an_api_closes_them() {
    let closes = platform::serve::ServeConfig::default().header_timeout;
    let nginx = nginx();
    let upstream = between(&nginx, "upstream apis {", "}");
    assert!(seconds(values(upstream, "keepalive_timeout")[0]) * 2 < closes);
    // Half of them each time: what is left after four times is little and young.
    let purge = between(&haproxy(), "pool-purge-delay ", "\n").to_owned();
    assert!(seconds(&purge) * 4 < closes, "{purge}");
}

#[test]
fn slow_clients_and_old_sockets_get_the_same_time() {
    let (nginx, haproxy) = (nginx(), haproxy());
    for (theirs, ours) in [
        ("client_header_timeout", "timeout http-request"),
        ("proxy_connect_timeout", "timeout connect"),
        ("worker_shutdown_timeout", "hard-stop-after"),
    ] {
        assert_eq!(values(&nginx, theirs)[0], values(&haproxy, ours)[0], "{theirs}, {ours}");
    }
    let body = between(&haproxy, "wait-for-body time ", " ");
    assert_eq!(values(&nginx, "client_body_timeout")[0], body);
}

#[test]
fn the_same_paths_are_hidden() {
    let nginx = between(&nginx(), "location ~ ^/(", ")(/|$)").to_owned();
    let haproxy = between(&haproxy(), "^[/.]*(", ")(/|$)").to_owned();
    assert_eq!(nginx, haproxy);
    let hidden: BTreeSet<&str> = nginx.split('|').collect();
    assert_eq!(hidden, BTreeSet::from(["metrics", "livez", "readyz", "internal"]));
}

#[test]
fn a_body_may_be_as_large_as_the_api_takes() {
    let limit = api::config::Config::default().body_limit;
    let kib = limit / 1024;
    assert_eq!(kib * 1024, limit, "the documents that refuse say it in KiB");
    let (nginx, haproxy) = (nginx(), haproxy());
    // Pictures are the api's to bound.
    assert_eq!(values(&nginx, "client_max_body_size"), [format!("{kib}k"), "0".to_owned()]);
    assert!(nginx.contains("location = /me/avatar {"));
    assert!(haproxy.contains("!{ path /me/avatar }"));
    assert_eq!(values(&nginx, "client_body_buffer_size"), [format!("{kib}k")]);
    assert_eq!(between(&haproxy, "req.body_size gt ", " "), limit.to_string());
    for refusal in refusals().into_iter().filter(|refusal| refusal["status"] == 413) {
        let detail = refusal["detail"].as_str().unwrap();
        assert_eq!(detail, format!("The body is larger than {kib} KiB."));
    }
}

/// The problem documents of both, nginx's first; the time is always "now".
fn refusals() -> Vec<Value> {
    let found = |conf: &str, now: &str| {
        let quoted = conf
            .lines()
            .flat_map(|line| line.split('\''))
            .filter(|text| text.starts_with("{\"status\""));
        let parsed = quoted.map(|text| {
            let text = text.replace(now, "now");
            serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
        });
        parsed.collect::<Vec<Value>>()
    };
    let theirs = found(&nginx(), "$time_iso8601");
    let ours = found(&haproxy(), "%[date,utime(%Y-%m-%dT%H:%M:%S+00:00)]");
    assert_eq!((theirs.len(), ours.len()), (3, 5), "one each; HAProxy has three words for 503");
    [theirs, ours].concat()
}

#[test]
fn refusals_are_the_same_documents() {
    let mut kinds: Vec<Value> = Vec::new();
    for refusal in refusals() {
        assert_eq!(refusal["message"], refusal["detail"]);
        assert_eq!(refusal["timestamp"], "now");
        assert_eq!(refusal["error"], true);
        if !kinds.contains(&refusal) {
            kinds.push(refusal);
        }
    }
    let statuses: Vec<_> = kinds.iter().map(|kind| kind["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [404, 413, 503], "{kinds:#?}");
    let code = |kind: &Value| kind["code"].as_str().unwrap().to_owned();
    let codes: Vec<_> = kinds.iter().map(code).collect();
    assert_eq!(codes, ["not_found", "body_too_large", "unavailable"], "as in the OpenAPI document");
}

#[test]
fn access_logs_have_no_queries() {
    let nginx = nginx();
    let theirs = between(&nginx, "log_format access escape=json", ";").replace(['\'', '\n'], "");
    let haproxy = haproxy();
    let ours = between(&haproxy, "log-format '", "'\n");
    // Nothing else is known to be free of tokens: the path without its query, no referrer, no cookie.
    let known = [
        ("$time_iso8601", "%[date,utime(%Y-%m-%dT%H:%M:%S+00:00)]"),
        ("$remote_addr", "%ci"),
        ("$request_method", "%HM"),
        ("$uri", "%[var(txn.path),json(utf8ps)]"),
        ("$status", "%ST"),
        ("$bytes_sent", "%B"),
        ("$request_time", "%Ta.0e-3"),
        ("$upstream_addr", "%si:%sp"),
        ("$upstream_status", "%ts"),
        ("$http_user_agent", "%[capture.req.hdr(0),json(utf8ps)]"),
        ("", "%rc"),
    ];
    let value = |format: &str, terms: &[&str]| {
        let mut format = format.to_owned();
        for (at, term) in terms.iter().enumerate().filter(|(_, term)| !term.is_empty()) {
            assert!(format.contains(*term), "{term} is not in the log");
            format = format.replacen(*term, &at.to_string(), 1);
        }
        serde_json::from_str::<Value>(&format).unwrap_or_else(|why| panic!("{why}: {format}"))
    };
    let (their_terms, our_terms): (Vec<_>, Vec<_>) = known.into_iter().unzip();
    let (theirs, ours) = (value(&theirs, &their_terms), value(ours, &our_terms));
    for line in [&theirs, &ours] {
        let text = line.to_string();
        assert!(!text.contains(['$', '%']), "what does this tell: {text}");
    }
    assert_eq!(values(&haproxy, "http-request set-var(txn.path)"), ["path"]);
    assert_eq!(values(&haproxy, "http-request capture"), ["req.hdr(User-Agent) len 256"]);

    let names = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let only_theirs: Vec<_> = names(&theirs).difference(&names(&ours)).cloned().collect();
    let only_ours: Vec<_> = names(&ours).difference(&names(&theirs)).cloned().collect();
    assert_eq!(only_theirs, ["upstream_status"]);
    assert_eq!(only_ours, ["ended", "retries"]);
}

/// The port that a binary listens on unless told otherwise.
fn port(binary: &str, setting: &str) -> String {
    let command = known::command(binary).unwrap();
    let argument = command.get_arguments().find(|it| it.get_env() == Some(setting.as_ref()));
    let default = argument.unwrap().get_default_values()[0].to_str().unwrap().to_owned();
    default.rsplit_once(':').unwrap().1.to_owned()
}

#[test]
fn nodes_are_found_where_they_listen_by_default() {
    let haproxy = haproxy();
    for (binary, file, name) in
        [("gateway", "gateways.conf", "GATEWAYS"), ("api", "apis.conf", "APIS")]
    {
        let node = format!("{binary}:{}", port(binary, "LISTEN"));
        let nginx = code(&read(&format!("deploy/nginx/{file}")));
        assert_eq!(values(&nginx, "server")[0].split(' ').next(), Some(node.as_str()));
        assert_eq!(values(&haproxy, &format!("presetenv {name}")), [node]);
        let template = values(&haproxy, &format!("server-template {binary} "))[0];
        let admin = port(binary, "ADMIN_LISTEN");
        assert!(template.contains(&format!("\"${{{name}}}\" port {admin} ")), "{template}");
    }
    assert_eq!(values(&haproxy, "option httpchk"), ["GET /readyz"; 2]);
}

#[test]
fn there_is_a_slot_for_every_replica_that_there_may_be() {
    let most = |text: &str, key: &str| {
        let found =
            text.lines().filter_map(|line| line.trim().strip_prefix(key)?.trim().parse().ok());
        found.max().unwrap_or(0)
    };
    let scaled: u32 = most(&read("k8s/components/hpa/autoscalers.yaml"), "maxReplicas:");
    let haproxy = haproxy();
    for binary in ["gateway", "api"] {
        let template = values(&haproxy, &format!("server-template {binary} "))[0];
        let slots: u32 = between(template, "1-", " ").parse().unwrap();
        // A rolling update has up to a quarter more.
        assert!(scaled > 0 && slots >= scaled + scaled.div_ceil(4), "{slots} for {scaled}");
    }
}

#[test]
fn clients_cannot_say_where_they_come_from() {
    for (conf, set) in [(nginx(), "proxy_set_header "), (haproxy(), "http-request set-header ")] {
        for header in ["X-Forwarded-For", "X-Forwarded-Proto"] {
            assert!(conf.contains(&format!("\n{set}{header} ")), "{header} is not overwritten");
        }
        assert!(!conf.contains("proxy_add_x_forwarded_for") && !conf.contains("forwardfor"));
    }
}
