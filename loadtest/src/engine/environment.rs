//! Where a run is made: this machine, and the version of the servers. It measures nothing.

use super::RunOptions;
use crate::{report::RunEnvironment, rest::Rest};
use std::{fs, thread};

/// What is known of this machine, and what the deployment says of itself. What cannot be had is empty.
pub(super) async fn here(options: &RunOptions) -> RunEnvironment {
    let kernel = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    RunEnvironment {
        command: options.command.clone(),
        host: kernel("hostname"),
        kernel: format!("{} {}", kernel("ostype"), kernel("osrelease")).trim().to_owned(),
        cpu: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
        cores: thread::available_parallelism().map_or(0, usize::from),
        server: server_version(options).await,
    }
}

/// The processor's name on x86; other architectures tell none, or only its part number.
fn processor(cpuinfo: &str) -> String {
    let named = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let name = named.and_then(|rest| rest.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or_default().to_owned()
}

async fn server_version(options: &RunOptions) -> Option<String> {
    let rest = Rest::trusting(&options.url, &options.trust).ok()?;
    let health: serde_json::Value = rest.get("/health", None).await.ok()?;
    health["version"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_where_it_has_a_name() {
        let intel = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) @ 2.70GHz\n";
        assert_eq!(processor(intel), "Intel(R) Xeon(R) @ 2.70GHz");
        assert_eq!(processor("processor\t: 0\nCPU part\t: 0xd0c\n"), "");
    }
}
