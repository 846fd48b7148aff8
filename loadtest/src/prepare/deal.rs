//! Assigns accounts to chats. Pure, and the same for the same scenario, so that two runs are comparable.

use crate::scenario::{ChatGroup, ChatKind};
use protocol::chat::ChatType;

/// A chat to be made: its members by their index, the first one its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DealtChat {
    pub chat_type: ChatType,
    pub members: Vec<usize>,
}

/// Deals the chats of a scenario out to so many people. Members are taken in turn, so that everybody
/// is in about as many; two people share at most one direct chat.
pub(crate) fn deal(chats: &[ChatGroup], people: usize) -> Result<Vec<DealtChat>, String> {
    let mut dealt = Vec::new();
    for chats in chats {
        let ChatGroup { kind, count, members } = *chats;
        match kind {
            ChatKind::Direct => dealt.extend(direct(count, people)?),
            ChatKind::Group => dealt.extend(in_turn(ChatType::Group, count, members, people)?),
            ChatKind::Room => dealt.extend(in_turn(ChatType::Room, count, members, people)?),
        }
    }
    Ok(dealt)
}

fn in_turn(
    chat_type: ChatType,
    count: usize,
    members: usize,
    people: usize,
) -> Result<Vec<DealtChat>, String> {
    if members == 0 || members > people {
        return Err(format!(
            "a chat cannot have {members} members: write 1 to {people}, the number of accounts"
        ));
    }
    let chat = |chat: usize| {
        let members = (chat * members..(chat + 1) * members).map(|place| place % people);
        DealtChat { chat_type, members: members.collect() }
    };
    Ok((0..count).map(chat).collect())
}

/// Neighbors first, then those at distance two, and so on. Of each distance those from even places
/// come first, so that half as many direct chats as people give everybody one.
fn direct(count: usize, people: usize) -> Result<Vec<DealtChat>, String> {
    let pairs = people * people.saturating_sub(1) / 2;
    if count > pairs {
        return Err(format!(
            "{people} accounts form {pairs} pairs, too few for {count} direct chats"
        ));
    }
    let of_distance = |distance: usize| {
        // Half around the circle, each pair would come twice.
        let from = if distance * 2 == people { distance } else { people };
        let places = (0..from).step_by(2).chain((1..from).step_by(2));
        places.map(move |place| [place, (place + distance) % people])
    };
    let all = (1..=people / 2).flat_map(of_distance).take(count);
    Ok(all.map(|pair| DealtChat { chat_type: ChatType::Private, members: pair.to_vec() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everybody_is_in_about_as_many() {
        let rooms = ChatGroup { kind: ChatKind::Room, count: 30, members: 7 };
        let dealt = deal(&[rooms], 20).unwrap();
        let mut of_each = [0; 20];
        for chat in &dealt {
            assert_eq!(chat.members.iter().collect::<BTreeSet<_>>().len(), 7, "nobody twice");
            chat.members.iter().for_each(|person| of_each[*person] += 1);
        }
        assert_eq!(dealt.len(), 30);
        assert!(of_each.iter().all(|chats| (10..=11).contains(chats)), "{of_each:?}");
    }

    #[test]
    fn no_pair_has_two_direct_chats() {
        for people in [2, 3, 6, 7] {
            let pairs = people * (people - 1) / 2;
            let all = ChatGroup { kind: ChatKind::Direct, count: pairs, members: 2 };
            let dealt = deal(&[all], people).unwrap();
            let distinct: BTreeSet<Vec<usize>> = dealt
                .into_iter()
                .map(|mut chat| {
                    chat.members.sort_unstable();
                    chat.members.dedup();
                    assert_eq!(chat.members.len(), 2);
                    chat.members
                })
                .collect();
            assert_eq!(distinct.len(), pairs, "{people}");
            let more = ChatGroup { count: pairs + 1, ..all };
            assert!(deal(&[more], people).is_err());
        }
        let half = ChatGroup { kind: ChatKind::Direct, count: 5, members: 2 };
        let people: BTreeSet<usize> =
            deal(&[half], 10).unwrap().into_iter().flat_map(|chat| chat.members).collect();
        assert_eq!(people.len(), 10, "everybody has one");
    }

    #[test]
    fn more_members_than_people_are_refused() {
        let room = ChatGroup { kind: ChatKind::Room, count: 1, members: 11 };
        assert!(deal(&[room], 10).is_err());
        assert!(deal(&[ChatGroup { members: 0, ..room }], 10).is_err());
    }
}
