//! Coordinator and agents over real sockets, without a deployment behind them.

use super::{AgentFault, AgentsError, Crew, coordinate, message::RunRequest, routes};
use crate::{
    cast::{Cast, CastMember},
    engine::{Observer, RunOptions, Share},
    rest::{Rest, RestError},
    scenario::{Phase, Scenario, ScenarioPeople},
};
use platform::{
    lifecycle::Lifecycle,
    serve::{ServeConfig, bind, serve},
    settings::Secret,
};
use protocol::id::UserId;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// A run of half a silent second, of nobody.
pub(super) fn small(run: &str) -> RunOptions {
    let phase: Phase = serde_json::from_value(serde_json::json!({
        "name": "silence", "duration": "500ms"
    }))
    .unwrap();
    let scenario = Scenario {
        name: "small".to_owned(),
        description: String::new(),
        seed: 7,
        people: ScenarioPeople { accounts: 0, dialects: <_>::default(), slow: None },
        chats: Vec::new(),
        phases: vec![phase],
        faults: Vec::new(),
        thresholds: Vec::new(),
    };
    let mut options = RunOptions::new(scenario, Cast::default(), "http://127.0.0.1:9", run);
    options.tuning.quiet = Duration::from_millis(10);
    options
}

/// An agent on a port of its own; it ends with the lifecycle.
async fn agent(secret: Option<&str>, lifecycle: &Lifecycle) -> String {
    let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = routes(secret.map(Secret::new), lifecycle);
    let config = ServeConfig { name: "internal", ..ServeConfig::default() };
    lifecycle.spawn(serve(listener, app, config, lifecycle.clone()));
    url
}

fn silent() -> Observer {
    Arc::new(|_| ())
}

/// The agent's name and what the coordinator says of it.
async fn fault(options: &RunOptions, crew: &Crew) -> (String, AgentFault) {
    match coordinate(options, crew, silent()).await.unwrap_err() {
        AgentsError::Agent { agent, fault } => (agent, fault),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn nobody_orders_without_the_secret() {
    let lifecycle = Lifecycle::new();
    let url = agent(Some("0123456789abcdef"), &lifecycle).await;
    let rest = Rest::new(&url).unwrap();
    for secret in [None, Some("0123456789abcdeg"), Some("0123456789abcde"), Some("")] {
        let refused = rest.get::<Value>("/runs/r1/clock", secret).await.unwrap_err();
        assert!(refused.is("unauthorized"), "{secret:?}: {refused}");
    }
    let known = rest.get::<Value>("/runs/r1/clock", Some("0123456789abcdef")).await.unwrap_err();
    assert!(known.is("no_such_run"), "{known}");
    let crew = Crew::new(std::slice::from_ref(&url), Some(&Secret::new("another-secret-of-16")));
    let (name, fault) = fault(&small("r1"), &crew.unwrap()).await;
    assert_eq!(name, url);
    assert!(matches!(&fault, AgentFault::Rest(why) if why.is("unauthorized")), "{fault}");
    assert!(!format!("{fault} {fault:?}").contains("another-secret"));
}

#[tokio::test]
async fn an_agent_serves_one_coordinator() {
    let lifecycle = Lifecycle::new();
    let [mine, other] = [agent(None, &lifecycle).await, agent(None, &lifecycle).await];
    let rest = Rest::new(&other).unwrap();
    rest.post::<()>("/runs", None, &RunRequest::new(&small("theirs"), 0, 1)).await.unwrap();
    let crew = Crew::new(&[mine.clone(), other.clone()], None).unwrap();
    let (name, fault) = fault(&small("r1"), &crew).await;
    assert_eq!(name, other, "the one that is busy");
    assert!(matches!(&fault, AgentFault::Rest(why) if why.is("busy")), "{fault}");
    // Ours is free again, theirs is still theirs.
    rest.get::<Value>("/runs/theirs/clock", None).await.unwrap();
    let rest = Rest::new(&mine).unwrap();
    assert!(rest.get::<Value>("/runs/r1/clock", None).await.unwrap_err().is("no_such_run"));
}

#[tokio::test]
async fn an_agent_that_is_away_fails_the_run_by_its_name() {
    let lifecycle = Lifecycle::new();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = format!("http://{away}");
    let crew = Crew::new(&[agent(None, &lifecycle).await, away.clone()], None).unwrap();
    let (name, fault) = fault(&small("r1"), &crew).await;
    assert_eq!(name, away);
    assert!(matches!(fault, AgentFault::Rest(RestError::Failed { .. })), "{fault}");
}

#[tokio::test]
async fn what_is_no_order_is_refused_in_words() {
    let lifecycle = Lifecycle::new();
    let rest = Rest::new(&agent(None, &lifecycle).await).unwrap();
    let request = serde_json::to_value(RunRequest::new(&small("r1"), 0, 1)).unwrap();
    for (field, value, code) in [
        ("version", Value::from("0.0.0"), "version"),
        ("index", Value::from(1), "invalid"),
        ("scenario", Value::Null, "invalid"),
    ] {
        let mut request = request.clone();
        request[field] = value;
        let refused = rest.post::<()>("/runs", None, &request).await.unwrap_err();
        assert!(refused.is(code), "{field}: {refused}");
    }
}

#[test]
fn an_agent_learns_no_tokens_but_its_own_peoples() {
    let person = |n: usize| CastMember {
        id: UserId(n as i64),
        username: format!("person{n}"),
        token: format!("token{n}"),
        refresh: format!("refresh{n}"),
        chats: Vec::new(),
    };
    let mut options = small("r1");
    options.cast = Arc::new(Cast { people: (0..7).map(person).collect(), chats: Vec::new() });
    for index in 0..3 {
        let request = serde_json::to_string(&RunRequest::new(&options, index, 3)).unwrap();
        let request: RunRequest = serde_json::from_str(&request).unwrap();
        let share = Share { index, of: 3 };
        for (place, one) in request.cast.people.iter().enumerate() {
            let expected = if share.has(place) { format!("token{place}") } else { String::new() };
            assert_eq!(one.token, expected);
            assert_eq!(one.refresh.is_empty(), !share.has(place));
            assert_eq!(one.username, format!("person{place}"), "places mean the same everywhere");
        }
        assert_eq!(request.options().share, share);
    }
}

#[test]
fn a_crew_is_of_some_different_agents() {
    let crew = |urls: &[&str]| {
        let urls: Vec<String> = urls.iter().map(|&url| url.to_owned()).collect();
        Crew::new(&urls, None).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(crew(&["http://a:7400", "http://b:7400"]), Ok(()));
    for (urls, why) in [
        (&[][..], "1 to 64"),
        (&["http://a:7400", "http://a:7400/"], "twice"),
        (&["a:7400"], "http://HOST"),
    ] {
        let said = crew(urls).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
}
