//! The containers under test, through the two programs that scripts/check-containers leaves in a folder
//! with everything set: `podman` and `compose`, this project's podman-compose.

use std::{path::PathBuf, time::Duration};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

/// The project as it runs.
pub struct Engine {
    programs: PathBuf,
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    /// Its binary, and what its service is called.
    pub service: String,
    pub address: String,
}

impl Engine {
    pub fn new(programs: PathBuf) -> Self {
        Self { programs }
    }

    /// Runs one of the two programs; it must succeed. Gives what it printed.
    async fn run(&self, program: &str, arguments: &[&str]) -> String {
        let (worked, text) = self.try_run(program, arguments).await;
        assert!(worked, "{program} {arguments:?}: {text}");
        text
    }

    async fn try_run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(self.programs.join(program)).args(arguments).output().await;
        let output = output.expect("the program is there");
        let text = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// The running containers of a service, by their numbers.
    pub async fn running(&self, service: &str) -> Vec<Container> {
        let of_service = format!("label=com.docker.compose.service={service}");
        let names =
            self.run("podman", &["ps", "--filter", &of_service, "--format", "{{.Names}}"]).await;
        let mut found = Vec::new();
        for name in names.lines() {
            // Of all networks; which one does not matter, this machine reaches each.
            let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
            let addresses = self.run("podman", &["inspect", "--format", address, name]).await;
            let address = addresses.split_whitespace().next().expect("an address").to_owned();
            found.push(Container { name: name.to_owned(), service: service.to_owned(), address });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Waits until the container's own `health` says yes.
    pub async fn healthy(&self, container: &Container) {
        let binary = format!("/{}", container.service);
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let (worked, why) =
                self.try_run("podman", &["exec", &container.name, &binary, "health"]).await;
            if worked {
                return;
            }
            assert!(Instant::now() < end, "{} is not healthy: {why}", container.name);
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// `compose up --scale gateway=N`, upwards.
    pub async fn scale_up(&self, gateways: usize) {
        let scale = format!("gateway={gateways}");
        self.run("compose", &["up", "-d", "--no-build", "--no-recreate", "--scale", &scale]).await;
        for container in self.running("gateway").await {
            self.healthy(&container).await;
        }
        assert_eq!(self.running("gateway").await.len(), gateways);
    }

    /// What compose does to the last containers when it scales down, and podman-compose leaves out:
    /// SIGTERM and the time that the file gives them.
    pub async fn scale_down(&self, gateways: usize) {
        for container in self.running("gateway").await.split_off(gateways) {
            self.run("podman", &["stop", &container.name]).await;
            self.run("podman", &["rm", &container.name]).await;
        }
    }

    /// Stops it as compose would, starts it again, waits until it is healthy.
    pub async fn restart(&self, container: &Container) {
        self.run("podman", &["restart", &container.name]).await;
        self.healthy(container).await;
    }

    /// Stops it as compose would.
    pub async fn stop(&self, container: &Container) {
        self.run("podman", &["stop", &container.name]).await;
    }

    /// Kills it: it says nothing to anybody, and stays away.
    pub async fn kill(&self, container: &Container) {
        self.run("podman", &["stop", "--time", "0", &container.name]).await;
    }

    /// Starts one that was stopped. It may have another address.
    pub async fn start(&self, container: &Container) {
        self.run("podman", &["start", &container.name]).await;
    }

    /// Waits until the health check of the compose file says yes.
    pub async fn passes(&self, container: &Container) {
        let end = Instant::now() + Duration::from_secs(90);
        while !self.try_run("podman", &["healthcheck", "run", &container.name]).await.0 {
            assert!(Instant::now() < end, "{} is not healthy", container.name);
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// What a Redis server says to a command; nothing if it does not run.
    pub async fn ask_redis(&self, server: &Container, command: &[&str]) -> String {
        let run = [&["exec", &server.name, "redis-cli"], command].concat();
        let (worked, text) = self.try_run("podman", &run).await;
        if worked { text } else { String::new() }
    }

    /// How a stopped container has ended.
    pub async fn exit_code(&self, container: &Container) -> String {
        let format = ["inspect", "--format", "{{.State.ExitCode}}", &container.name];
        self.run("podman", &format).await
    }

    /// The number of clients on a gateway, as its metrics say.
    pub async fn sockets(&self, gateway: &Container) -> u64 {
        self.gauge(gateway, "gateway_connections ").await
    }

    /// How many partitions of the bus a gateway hears, as its metrics say.
    pub async fn partitions(&self, gateway: &Container) -> u64 {
        self.gauge(gateway, "bus_partitions_up").await
    }

    async fn gauge(&self, gateway: &Container, name: &str) -> u64 {
        let url = format!("http://{}:9100/metrics", gateway.address);
        let text = reqwest::get(url).await.expect("metrics").text().await.expect("text");
        let line = text.lines().find(|line| line.starts_with(name)).expect("the gauge");
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    }
}
