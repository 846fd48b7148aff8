//! The names under which a guest's connection has written, so that a known one needs no look-up.

use platform::text::is_name_of;
use protocol::chat::UserRef;

/// The maximum number of remembered names of one connection. A person has one, and a page for several people a few. A
/// client with more is announced again, which the limit of its network bounds.
const MAX_NAMES: usize = 8;

/// The names that a guest's connection has used, the latest last.
#[derive(Debug, Default)]
pub(crate) struct GuestNames(Vec<UserRef>);

impl GuestNames {
    /// The guest of this name, if it was used before.
    pub(crate) fn get(&self, name: &str) -> Option<&UserRef> {
        self.0.iter().find(|guest| is_name_of(name, &guest.username))
    }

    pub(crate) fn add(&mut self, guest: UserRef) {
        if self.0.len() >= MAX_NAMES {
            self.0.remove(0);
        }
        self.0.push(guest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::UserId;

    #[test]
    fn a_name_is_known_in_whatever_spelling_and_the_oldest_is_forgotten() {
        let mut names = GuestNames::default();
        for id in 0..=MAX_NAMES as i64 {
            assert_eq!(names.get(&format!("Zoe{id}")), None);
            let zoe = UserRef::registered(UserId(id), format!("Zoe{id}"));
            names.add(UserRef { guest: true, ..zoe });
        }
        for name in ["ZOE3", "Ｚｏｅ3"] {
            assert_eq!(names.get(name).map(|guest| guest.id), Some(UserId(3)), "{name}");
        }
        assert_eq!(names.get("zoe0"), None);
        assert_eq!(names.0.len(), MAX_NAMES);
    }
}
