//! Why a subscription's connection is given up.

use super::wanted::Suspect;
use redis::RedisError;

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the server closed the connection")]
    Closed,
    #[error("a PING or a probe got no answer: the subscription no longer delivers")]
    Deaf,
    #[error("too many channels brought nothing of what was published")]
    Doubted,
    #[error("an answer belongs to another question")]
    Confused,
}

impl From<Suspect> for Lost {
    fn from(Suspect: Suspect) -> Self {
        Self::Doubted
    }
}
