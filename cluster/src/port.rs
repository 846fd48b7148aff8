//! Free ports for servers that cannot be asked to bind port 0.

use rand::RngExt;
use std::{
    env, fs,
    net::TcpListener,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
};

/// Below the range that the kernel hands out to outgoing connections (32768 and up), so that none
/// of them can take a port between our look and the server's bind.
const FIRST: u16 = 10_000;
/// A process has a block to itself, so that test binaries and clusters that run side by side never
/// want the same port. One cluster needs about 15 ports.
const BLOCK: u16 = 500;
const BLOCKS: u16 = 40;

struct Block {
    first: u16,
    next: AtomicU16,
    /// Locked for the life of this process; the system unlocks it, however that ends.
    _lock: Option<fs::File>,
}

static OURS: LazyLock<Block> = LazyLock::new(|| {
    let start = rand::rng().random_range(0..BLOCKS);
    let blocks = (start..BLOCKS).chain(0..start);
    let locked = blocks.map(|block| (block, lock(block))).find(|(_, lock)| lock.is_some());
    // More processes than blocks: two share one, and most ports are free all the same.
    let (block, lock) = locked.unwrap_or((start, None));
    Block { first: FIRST + block * BLOCK, next: AtomicU16::new(0), _lock: lock }
});

/// A port of 127.0.0.1 that nobody listens on, and that no other process which asks here gets.
pub fn free_port() -> u16 {
    loop {
        let port = OURS.first + OURS.next.fetch_add(1, Ordering::Relaxed) % BLOCK;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn lock(block: u16) -> Option<fs::File> {
    let folder = env::temp_dir().join("switchboard-ports");
    fs::create_dir_all(&folder).ok()?;
    let file = fs::File::create(folder.join(block.to_string())).ok()?;
    file.try_lock().ok()?;
    Some(file)
}
