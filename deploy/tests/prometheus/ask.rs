//! Asks a Prometheus over its HTTP API. What the answers should be is not known here.

use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How often something that should become true is looked at: a fifth of the scrape interval.
const POLL: Duration = Duration::from_millis(200);

/// One series at one time.
#[derive(Clone, Debug)]
pub struct Sample {
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

pub struct Ask {
    http: reqwest::Client,
    url: String,
}

impl Ask {
    /// `url` without a slash at its end.
    pub fn new(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned() }
    }

    /// The JSON at a path. Panics when there is none: nothing can go on then.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        let answer: Value = answer.expect("an answer").json().await.expect("JSON");
        answer
    }

    /// Whether `GET path` answers 200.
    pub async fn answers(&self, path: &str) -> bool {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// What an expression gives now, numbers only: a NaN is a line that nobody sees.
    pub async fn query(&self, expr: &str) -> Result<Vec<Sample>, String> {
        let data = self.post("query", &[("query", expr)]).await?;
        if data["resultType"] == "scalar" {
            let value = number(&data["result"]);
            return Ok(vec![Sample { labels: BTreeMap::new(), value }]);
        }
        let samples = data["result"].as_array().cloned().unwrap_or_default();
        let samples = samples.iter().map(|sample| Sample {
            labels: serde_json::from_value(sample["metric"].clone()).unwrap_or_default(),
            value: number(&sample["value"]),
        });
        Ok(samples.filter(|sample| !sample.value.is_nan()).collect())
    }

    /// Whether an expression gave anything in the seconds before `now`, as a graph asks for it.
    pub async fn gave(&self, expr: &str, seconds: u64, now: f64) -> Result<bool, String> {
        let start = (now - seconds as f64).to_string();
        let range = [("query", expr), ("start", &start), ("end", &now.to_string()), ("step", "1")];
        let data = self.post("query_range", &range).await?;
        let lines = data["result"].as_array().cloned().unwrap_or_default();
        let mut points = lines.iter().flat_map(|line| line["values"].as_array()).flatten();
        Ok(points.any(|point| !number(point).is_nan()))
    }

    /// Prometheus's clock.
    pub async fn now(&self) -> f64 {
        self.query("time()").await.expect("a time")[0].value
    }

    /// Of a query's answer, the data.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        let url = format!("{}/api/v1/{path}", self.url);
        let answer = self.http.post(url).form(form).send().await;
        let mut answer: Value = answer.expect("an answer").json().await.expect("JSON");
        if answer["status"] != "success" {
            return Err(format!("{} for {form:?}", answer["error"]));
        }
        Ok(answer["data"].take())
    }

    /// Waits until an expression gives something.
    pub async fn until(&self, expr: &str, within: Duration) -> Vec<Sample> {
        let deadline = Instant::now() + within;
        loop {
            match self.query(expr).await {
                Ok(samples) if !samples.is_empty() => return samples,
                other => assert!(Instant::now() < deadline, "after {within:?}: {expr}: {other:?}"),
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn number(pair: &Value) -> f64 {
    pair[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}
