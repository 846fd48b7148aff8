//! The rows of deliveries: one big chat and many small ones, saturated and paced; on two gateways
//! against one; at more connections; and this machine's limit for each.

use crate::{
    book::{Book, MAIN, Side},
    crowd::Crowd,
    flow::{Flow, Load, Room, measure},
    limit::{self, Pattern},
    row::TableRow,
    run::Run,
    stand::Stand,
};
use anyhow::Result;

/// Messages on their way in the closed loop, of one big chat: 64 × 300 bytes wait for a client then,
/// far from what makes it a slow one.
const WINDOW: u64 = 64;
const PACED_ROOMS: Load = Load::Paced { per_second: 500 };
/// On their way in all rooms of ten together, most of which have one or none.
const SATURATED_ROOMS: Load = Load::Saturated { window: 256 };
/// Members of the big chat who write.
const SENDERS: usize = 16;
const SMALL: usize = 10;
/// In the table's rows of small chats.
pub const TABLE_CONNECTIONS: usize = 10_000;
/// Both ends of each are files of this process, which may have 20,000 of them.
const LIMIT_SOCKETS: usize = 9_900;

/// One chat of `members`: saturated, then at 20 messages a second.
pub async fn one_chat(run: &Run, side: Side, members: usize, book: &mut Book) -> Result<()> {
    let mut stand = run.stand(side, 1).await?;
    let (crowd, rooms) = big(&mut stand, members).await?;
    for (row, load) in [
        (TableRow::Saturated, Load::Saturated { window: WINDOW }),
        (TableRow::Paced, Load::Paced { per_second: 20 }),
    ] {
        if run.wants(row)
            || run.wants(TableRow::Growth)
            || (row == TableRow::Paced && run.wants(TableRow::Second))
        {
            let flow = measure(&mut stand, &crowd, &rooms, load, run.duration).await?;
            run.tell(row, side, members, &flow, book);
        }
    }
    drop(crowd);
    stand.stop().await
}

/// The same chat at 20 messages a second, and the same chats of ten at 500, the members of each spread over two
/// gateways. After the rows of one.
pub async fn two_gateways(run: &Run, side: Side, book: &mut Book) -> Result<()> {
    let mut stand = run.stand(side, 2).await?;
    let (crowd, rooms) = big(&mut stand, 1000).await?;
    let load = Load::Paced { per_second: 20 };
    let flow = measure(&mut stand, &crowd, &rooms, load, run.duration).await?;
    let two = flow.per_million(flow.used.gateways);
    book.note(TableRow::Second, side, "both gateways, CPU-s per million", two);
    if let Some(one) = book.last(TableRow::Paced, side, MAIN) {
        book.note(TableRow::Second, side, MAIN, two / one);
    }
    drop(crowd);
    stand.stop().await?;

    let mut stand = run.stand(side, 2).await?;
    let (crowd, rooms) = small(&mut stand, TABLE_CONNECTIONS).await?;
    for (row, load, of) in [
        (TableRow::Rooms, PACED_ROOMS, "rooms of 10 at 500/s"),
        (TableRow::RoomsSaturated, SATURATED_ROOMS, "rooms of 10, saturated"),
    ] {
        let flow = measure(&mut stand, &crowd, &rooms, load, run.duration).await?;
        let two = flow.per_million(flow.used.gateways);
        book.note(TableRow::Second, side, format!("{of}: both, CPU-s per million"), two);
        if let Some(one) = book.last(row, side, MAIN) {
            book.note(TableRow::Second, side, format!("{of}: both ÷ one"), two / one);
        }
    }
    drop(crowd);
    stand.stop().await
}

/// `connections` in chats of ten, one chat each: at 500 messages a second, then saturated.
pub async fn small_chats(run: &Run, side: Side, connections: usize, book: &mut Book) -> Result<()> {
    let mut stand = run.stand(side, 1).await?;
    let (crowd, rooms) = small(&mut stand, connections).await?;
    for (row, load) in [(TableRow::Rooms, PACED_ROOMS), (TableRow::RoomsSaturated, SATURATED_ROOMS)]
    {
        if [row, TableRow::Growth, TableRow::Second].iter().any(|row| run.wants(*row)) {
            let flow = measure(&mut stand, &crowd, &rooms, load, run.duration).await?;
            run.tell(row, side, connections, &flow, book);
        }
    }
    drop(crowd);
    stand.stop().await
}

/// What a bare writer takes for each row on this machine, with deliveries of the size that was measured.
pub async fn limits(run: &Run, book: &mut Book) -> Result<()> {
    let big = |load| Pattern { sockets: 1000, members: 1000, bytes: 0, load };
    let small = |load| Pattern { sockets: LIMIT_SOCKETS, members: SMALL, bytes: 0, load };
    for (row, pattern) in [
        (TableRow::Saturated, big(Load::Saturated { window: WINDOW })),
        (TableRow::Paced, big(Load::Paced { per_second: 20 })),
        (TableRow::Rooms, small(PACED_ROOMS)),
        (TableRow::RoomsSaturated, small(SATURATED_ROOMS)),
    ] {
        if let Some(bytes) = book.last(row, Side::Now, "bytes a delivery") {
            let pattern = Pattern { bytes: bytes.round() as usize, ..pattern };
            let cost = limit::measure(pattern, run.cpus.gateways, run.duration).await?;
            book.note(row, Side::Limit, MAIN, cost.per_million);
            book.note(row, Side::Limit, "delivery p50 ms", cost.p50);
            book.note(row, Side::Limit, "delivery p99 ms", cost.p99);
        }
    }
    Ok(())
}

/// One chat with so many connections in it: 1,000 people, then further devices of theirs.
async fn big(stand: &mut Stand, connections: usize) -> Result<(Crowd, Vec<Room>)> {
    let people = connections.min(1000);
    stand.people(people).await?;
    let ids = stand.groups(&[(0..people).collect()]).await?;
    let mut crowd = Crowd::new()?;
    crowd.connect(stand, (0..connections).map(|number| number % people)).await?;
    crowd.quiet().await?;
    // Spread over the members, and so over the gateways.
    let senders =
        (0..SENDERS).map(|sender| sender * (connections / SENDERS) + sender % 2).collect();
    let room = |id| Room { id, senders, members: connections as u64 };
    Ok((crowd, ids.into_iter().take(1).zip([room]).map(|(id, room)| room(id)).collect()))
}

/// So many people with a connection each, in groups of ten.
async fn small(stand: &mut Stand, connections: usize) -> Result<(Crowd, Vec<Room>)> {
    stand.people(connections).await?;
    let groups: Vec<Vec<usize>> =
        (0..connections / SMALL).map(|chat| (chat * SMALL..(chat + 1) * SMALL).collect()).collect();
    let ids = stand.groups(&groups).await?;
    let mut crowd = Crowd::new()?;
    crowd.connect(stand, 0..connections).await?;
    crowd.quiet().await?;
    let room = |(id, senders)| Room { id, senders, members: SMALL as u64 };
    Ok((crowd, ids.into_iter().zip(groups).map(room).collect()))
}

impl Run {
    /// Notes what a flow came to; other sizes than the table's are figures of their own.
    fn tell(&self, row: TableRow, side: Side, connections: usize, flow: &Flow, book: &mut Book) {
        let used = flow.used;
        let table = match row {
            TableRow::Saturated | TableRow::Paced => 1000,
            _ => TABLE_CONNECTIONS,
        };
        if connections != table || self.wants(TableRow::Growth) {
            let name = format!("{} with {connections} connections", row.about().measure);
            book.note(TableRow::Growth, side, name, flow.per_million(used.gateways));
        }
        if connections != table {
            return;
        }
        let server = flow.per_million(used.gateways);
        let generator = flow.per_million(used.generator);
        for (name, value) in [
            (MAIN, server),
            ("bytes a delivery", flow.bytes),
            ("deliveries per second", flow.deliveries as f64 / flow.seconds),
            ("gateway's CPU, share of one", used.gateways / flow.seconds),
            ("generator CPU-s per million deliveries", generator),
            ("server / generator", server / generator),
            ("api CPU µs per message", flow.per_message(used.apis)),
            ("Redis CPU µs per message", flow.per_message(used.redis)),
            ("PostgreSQL CPU µs per message", flow.per_message(used.postgres)),
            ("delivery p50 ms", flow.p50),
            ("delivery p99 ms", flow.p99),
        ] {
            book.note(row, side, name, value);
        }
    }
}
