//! The program `loadtest`.

fn main() {}
