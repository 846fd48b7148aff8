//! For simulations: threads whose randomness a seed decides. Everything that asks the kernel for chance there gets it from
//! the seed instead: the hashes of maps, and so their order, `rand`, ids, and the choices of `tokio::select!`. So what a
//! simulation does once it does again. Other threads are left alone.
//!
//! It works by being `getrandom` (2) itself, in place of the C library's, which std and the crate `getrandom` call. Only
//! programs that link this crate are concerned, which are tests.

#![warn(missing_docs)]

use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    cell::RefCell,
    ffi::{c_uint, c_void},
    slice, thread,
};

thread_local! {
    /// The chance of this thread, if a seed decides it.
    static CHANCE: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// Runs this on a thread of its own, on which the seed decides everything random. An error is its panic. Threads that it
/// starts itself are random as ever.
pub fn run<T: Send>(seed: u64, simulation: impl FnOnce() -> T + Send) -> thread::Result<T> {
    // Maps take their chance once in a thread's life, so a thread that has lived would bring its own.
    let seeded = || {
        CHANCE.set(Some(SmallRng::seed_from_u64(seed)));
        simulation()
    };
    thread::scope(|scope| scope.spawn(seeded).join())
}

/// Takes the place of the C library's function of this name, for the whole program.
///
/// # Safety
///
/// `buffer` has space for `length` bytes, as for getrandom (2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    // SAFETY: the caller says so; an empty buffer may be nowhere, and is not touched.
    let bytes = match length {
        0 => &mut [],
        _ => unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), length) },
    };
    // The thread may be ending, and have none any more.
    let seeded = CHANCE.try_with(|chance| {
        chance.borrow_mut().as_mut().map(|chance| chance.fill_bytes(bytes)).is_some()
    });
    if seeded == Ok(true) {
        return length as isize;
    }
    // SAFETY: the arguments are those of the call that this stands for.
    unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as isize }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    /// What the parts of a program draw.
    fn draw() -> (u64, u64) {
        (RandomState::new().hash_one("a key"), rand::random())
    }

    #[test]
    fn a_seed_decides_everything_on_its_thread_and_nothing_elsewhere() {
        let drawn = |seed| super::run(seed, draw).unwrap();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        let elsewhere = || std::thread::spawn(draw).join().unwrap();
        assert_ne!(elsewhere(), elsewhere());
    }
}
