//! The `canary` binary: settings, the admin listener, signals.

fn main() {}
