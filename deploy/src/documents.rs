//! The documents that are written from the code: docs/configuration.md and docs/metrics.md. What
//! they say beside the tables stands here; the tests keep the files equal to this.

use crate::known::{self, BINARIES};
use clap::{Arg, Command};
use platform::{
    metric::{Metric, Values},
    telemetry::trace::SDK_VARIABLES,
};
use std::fmt::Write as _;

/// docs/configuration.md: every setting of every binary.
pub fn configuration() -> String {
    let mut text = CONFIGURATION_HEAD.to_owned();
    for binary in BINARIES {
        let Some(mut command) = known::command(binary) else { continue };
        command.build();
        settings(&mut text, binary, &command);
    }
    text.push_str(TRACING_HEAD);
    for (name, meaning) in SDK_VARIABLES {
        let _ = writeln!(text, "| `{name}` | {} |", line(meaning));
    }
    text
}

const TRACING_HEAD: &str = "
## OpenTelemetry's own

The OpenTelemetry SDK in gateway, api and switchboard reads these variables if the binary is built with the
feature `otlp` (the images are) and sends traces.

| variable | meaning |
|---|---|
";

const CONFIGURATION_HEAD: &str = "\
<!-- Written from the code: UPDATE_SNAPSHOTS=1 cargo test -p switchboard-deploy --test files documents -->
# Configuration

Each setting is an environment variable and a flag of the same name: `MAX_CONNECTIONS=20000` is
`--max-connections 20000`. A flag wins over the variable, and an empty variable counts as not set. A process
with a wrong setting prints one line that names the setting and the reason, and exits with 64 before it creates
anything. A process that cannot start for another reason, such as a port in use, also prints one line, and exits with 1 (the
load tester with 70). There are no configuration files and nothing to reload: to change a setting, restart. A
rolling restart loses nothing.

- Separate the items of a list by commas; spaces around the commas are ignored.
- A listening address is `127.0.0.1:8000`, `[::1]:8000`, or a name such as `localhost:8000`. `:8000` means that
  port on all IPv4 addresses of the machine, `8000` alone means 127.0.0.1.
- Trusted proxies are networks, `10.0.0.0/8`, or single addresses.
- An origin is a scheme, a host and a port, as in `https://chat.example.com`. Upper case, the default port and a
  trailing slash make no difference.
- A server is `http://host:port`, without a path.
- `LOG` gives the level for all modules, then for single ones: `info,gateway=debug`.

**Secrets** never appear in `--help`, logs or errors. You can give each secret `NAME` as `NAME_FILE`, the
path of a file that holds it, as container platforms mount secrets. A line break at the end is ignored.
`api secrets FOLDER` creates the secrets that a deployment needs, each in a file named after its setting.

The standard `OTEL_*` variables configure tracing: see [operations.md](operations.md#tracing). Bounds that are
not listed here (queues, frames, batches, pages) are documented with their reasons in the `Default`s of
`gateway/src/config/`, `api/src/config.rs` and `shared/`. A metric counts each time one is hit: see
[metrics.md](metrics.md).
";

fn settings(text: &mut String, binary: &str, command: &Command) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n## {binary}\n\n{about}.\n\n");
    text.push_str("| setting | default | meaning |\n|---|---|---|\n");
    for setting in known::settings(command) {
        let _ = writeln!(text, "| {} | {} | {} |", name(setting), default(setting), help(setting));
    }
    let commands: Vec<&Command> =
        command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    text.push_str("\n| command | what it does |\n|---|---|\n");
    for sub in commands {
        subcommands(text, binary, sub);
    }
}

fn subcommands(text: &mut String, before: &str, command: &Command) {
    let name = format!("{before} {}", command.get_name());
    let children: Vec<&Command> =
        command.get_subcommands().filter(|child| child.get_name() != "help").collect();
    if children.is_empty() {
        let about = command.get_long_about().or(command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let arguments: String =
            command.get_positionals().map(|argument| format!(" {argument}")).collect();
        let _ = writeln!(text, "| `{name}{arguments}` | {} |", line(&about));
    }
    for child in children {
        subcommands(text, &name, child);
    }
}

fn name(setting: &Arg) -> String {
    let name = setting.get_env().map(|name| name.to_string_lossy()).unwrap_or_default();
    let secret = if setting.is_hide_env_values_set() { " (secret)" } else { "" };
    format!("`{name}`{secret}")
}

fn default(setting: &Arg) -> String {
    let values: Vec<String> = setting
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if values.is_empty() { "–".to_owned() } else { values.join(", ") }
}

fn help(setting: &Arg) -> String {
    let text = setting.get_long_help().or(setting.get_help()).map(ToString::to_string);
    line(&text.unwrap_or_default())
}

/// One line that cannot end a cell of a table.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\\\|")
}

/// docs/metrics.md: every metric of every process.
pub fn metrics() -> String {
    let mut text = METRICS_HEAD.to_owned();
    for (title, about, table) in known::metric_tables() {
        let _ = write!(text, "\n## {title}\n\n{about}\n\n");
        text.push_str("| metric | type | labels | meaning |\n|---|---|---|---|\n");
        for metric in table {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                metric.name,
                metric.kind.as_str(),
                labels(metric),
                line(metric.help)
            );
        }
    }
    text
}

const METRICS_HEAD: &str = "\
<!-- Written from the code: UPDATE_SNAPSHOTS=1 cargo test -p switchboard-deploy --test files documents -->
# Metrics

Every process serves its metrics at `GET /metrics` on its admin listener, in the Prometheus format. Counters
start at 0 for all known label values, so a rate is never missing. No label holds a
user, a chat or an address. Histograms ending in `_seconds` have buckets from 1 ms to 10 s, those ending in
`_size` from 1 to 10,000. The one-process `switchboard` has the metrics of api and gateway together.

The rules in `deploy/prometheus/rules` define what the metrics mean for users and when they page somebody. See
[runbooks.md](runbooks.md). The dashboards are in `deploy/grafana`.
";

fn labels(metric: &Metric) -> String {
    let labels = metric.labels.iter().map(|(name, values)| {
        let values = match values {
            Values::Bounded(what) => (*what).to_owned(),
            known => known
                .known()
                .unwrap_or_default()
                .iter()
                .map(|value| format!("`{value}`"))
                .collect::<Vec<_>>()
                .join(" "),
        };
        format!("`{name}`: {values}")
    });
    let labels: Vec<String> = labels.collect();
    if labels.is_empty() { "–".to_owned() } else { labels.join("; ") }
}
