//! Private servers for tests and `make cluster`: PostgreSQL, Redis, the shipped load balancer and
//! Switchboard's own processes, on free ports and in temporary folders. Nothing here outlives the process
//! that started it, however that process ends. No part of the product depends on this crate.

#![warn(missing_docs, unreachable_pub)]

mod balancer;
mod binaries;
mod cluster;
mod cpus;
mod installed;
mod link;
mod links;
mod node;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod program;
mod redis;
mod redis_cluster;
mod redis_sentinels;
mod scratch;
mod state;
mod supervised;

pub use balancer::{BalancedNode, Balancer, BalancerKind};
pub use binaries::{EXIT_USAGE, MissingBinary, exit_code, switchboard_folder};
pub use cluster::{Cluster, ClusterOptions};
pub use cpus::Cpus;
pub use link::{LinkState, TestLink};
pub use links::{Ends, TestLinks};
pub use node::Node;
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::{Durability, Postgres, TestDatabase};
pub use process::Process;
pub use program::Program;
pub use redis::{Redis, RedisTlsFiles};
pub use redis_cluster::{RedisCluster, SLOTS};
pub use redis_sentinels::{RedisSentinel, RedisSentinels};
pub use state::{ApiState, BalancerState, ClusterState, GatewayState, Pid};
