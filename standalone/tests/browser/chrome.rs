//! What chromedriver offers beside the standard: the console of a browser, and how a page is shown without another
//! browser.

use crate::harness::Browser;
use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::str::FromStr;

/// A screen that the page is looked at on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Screen {
    Desk,
    Phone,
}

/// What the system of whoever looks asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Theme {
    Light,
    Dark,
}

#[derive(Debug)]
struct Command {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// The warnings and errors of the console since it was last asked for, of all pages: what a script says, what was
    /// not loaded, what the policy of content forbids.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let console = Command { path: "se/log", body: json!({ "type": "browser" }) };
        let entries = self.client.issue_cmd(console).await.unwrap();
        let entries = entries.as_array().unwrap().iter();
        let bad = entries.filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The same page on another screen, and for a system with another theme. Nothing moves.
    pub(crate) async fn look(&self, screen: Screen, theme: Theme) {
        let (width, height, mobile) = match screen {
            Screen::Desk => (1100, 800, false),
            Screen::Phone => (390, 780, true),
        };
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let theme = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let features = json!([
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    pub(crate) async fn devtools(&self, cmd: &str, params: Value) {
        let body = json!({ "cmd": cmd, "params": params });
        let command = Command { path: "goog/cdp/execute", body };
        self.client.issue_cmd(command).await.unwrap();
    }
}
