//! Sections 1, 3 and 4: lengths, reserved bits, opcodes; and what a header may say at all.

use crate::{
    BINARY,
    peer::{BIN, CLOSE, Case, Got, PING, TEXT, check, frame, text},
};

#[tokio::test]
async fn messages_of_every_kind_of_length_come_through() {
    let lengths = [0, 125, 126, 127, 128, 65_535, 65_536];
    let cases = lengths.iter().flat_map(|length| {
        let payload = "*".repeat(*length);
        let binary = vec![0xfe; *length];
        let texts: Case<'_> = ("text", vec![frame(TEXT, &payload)], vec![text(&payload)]);
        let binaries: Case<'_> = ("binary", vec![frame(BIN, binary)], vec![text(BINARY)]);
        [texts, binaries]
    });
    check(cases).await;
}

#[tokio::test]
async fn reserved_bits_end_the_connection() {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for bits in 1..8 {
        for opcode in [TEXT, BIN, PING, CLOSE] {
            let wrong = frame(opcode | bits << 4, "");
            let frames = vec![frame(TEXT, "before"), wrong, frame(PING, "")];
            cases.push(("reserved", frames, vec![text("before"), Got::Close(1002)]));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn opcodes_that_mean_nothing_end_the_connection() {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in ["", "payload"] {
            let frames = vec![frame(TEXT, "before"), frame(opcode, payload), frame(PING, "")];
            cases.push(("opcode", frames, vec![text("before"), Got::Close(1002)]));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn headers_that_clients_may_not_send_end_the_connection() {
    let unmasked = b"\x81\x05hello".to_vec();
    let length = |head: &[u8]| [head, &[0; 4], &[b'x'; 125]].concat();
    let cases: [Case<'_>; 5] = [
        ("unmasked", vec![unmasked], vec![Got::Close(1002)]),
        ("125 in two bytes", vec![length(b"\x81\xfe\0\x7d")], vec![Got::Close(1002)]),
        ("125 in eight", vec![length(b"\x81\xff\0\0\0\0\0\0\0\x7d")], vec![Got::Close(1002)]),
        ("65,535 in eight", vec![length(b"\x81\xff\0\0\0\0\0\0\xff\xff")], vec![Got::Close(1002)]),
        ("a 64th bit", vec![length(b"\x81\xff\x80\0\0\0\0\0\0\x01")], vec![Got::Close(1002)]),
    ];
    check(cases).await;
}
