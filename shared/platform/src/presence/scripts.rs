//! The steps of presence in Redis: each script makes a change and its verdict one. Of two nodes that take
//! in a user at the same moment exactly one brought them online, and of two that sweep a dead one each
//! user goes to one. What the keys hold stands in [`super::redis`].

use redis::Script;

/// The script of a file, behind what all of them begin with.
macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/common.lua"), include_str!($file)))
    };
}

/// One for each kind of call, with the arguments that [`super::redis`] gives all of them.
pub(super) struct Scripts {
    pub(super) enter: Script,
    pub(super) leave: Script,
    pub(super) renew: Script,
    pub(super) dead: Script,
    pub(super) sweep: Script,
    pub(super) online: Script,
    pub(super) connections: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            enter: script!("scripts/enter.lua"),
            leave: script!("scripts/leave.lua"),
            renew: script!("scripts/renew.lua"),
            dead: script!("scripts/dead.lua"),
            sweep: script!("scripts/sweep.lua"),
            online: script!("scripts/online.lua"),
            connections: script!("scripts/connections.lua"),
        }
    }
}
