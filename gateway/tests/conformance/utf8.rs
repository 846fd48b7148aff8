//! Section 6: texts are UTF-8, wherever they are cut, and one that cannot become so ends at once. The
//! sequences are those of Markus Kuhn's stress test for decoders.

use crate::peer::{CONT, Case, Got, MORE, Peer, TEXT, check, frame, text};

const VALID: &[&[u8]] = &[
    b"",
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    // The first and the last of each length.
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    // Beside the surrogates; the replacement character; a byte order mark.
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbb\xbf",
    // What stands for no character is valid all the same.
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf3\xbf\xbf\xbe",
    b"\xf4\x8f\xbf\xbe",
];

const INVALID: &[&[u8]] = &[
    // Surrogates, alone and as a pair; beyond U+10FFFF; five and six bytes.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xaf\xbf\xed\xbf\xbf",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\xf4\x90\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xf8\x88\x80\x80\x80",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    // Continuations of nothing.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf\x80\xbf",
    // Starts of nothing.
    b"\xc0 \xc1 \xc2 ",
    b"\xe0 \xe1 \xe2 ",
    b"\xf0 \xf1 \xf2 \xf3 ",
    b"\xf8 \xf9 ",
    b"\xfc \xfd ",
    // The last byte is missing.
    b"\xc0",
    b"\xdf",
    b"\xe0\x80",
    b"\xef\xbf",
    b"\xf0\x80\x80",
    b"\xf7\xbf\xbf",
    b"\xf4\x8f\xbf",
    b"\xc0\xe0\x80\xf0\x80\x80",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce",
    // Bytes that are nowhere.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // Longer than needed.
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
];

/// Whole, cut once at every place, and in single bytes.
fn cuts(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let whole = vec![frame(TEXT, bytes)];
    let twice = (0..=bytes.len())
        .map(|at| vec![frame(TEXT | MORE, &bytes[..at]), frame(CONT, &bytes[at..])]);
    let mut all: Vec<Vec<Vec<u8>>> = twice.collect();
    all.push(whole);
    if let [first, middle @ .., last] = bytes {
        let mut single = vec![frame(TEXT | MORE, [*first])];
        single.extend(middle.iter().map(|byte| frame(CONT | MORE, [*byte])));
        single.push(frame(CONT, [*last]));
        all.push(single);
    }
    all
}

#[tokio::test]
async fn valid_texts_come_back_however_they_are_cut() {
    for bytes in VALID {
        let expected = str::from_utf8(bytes).unwrap();
        check(cuts(bytes).into_iter().map(|cut| -> Case<'_> { ("", cut, vec![text(expected)]) }))
            .await;
    }
}

#[tokio::test]
async fn invalid_texts_end_the_connection_however_they_are_cut() {
    for bytes in INVALID {
        let closed = |cut| -> Case<'_> { ("", cut, vec![Got::Close(1007)]) };
        check(cuts(bytes).into_iter().map(closed)).await;
    }
}

/// The rest of the text never comes: the server must not wait for it.
#[tokio::test]
async fn a_text_that_cannot_become_valid_ends_at_once() {
    let kosme = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
    for start in [&b"\xf4\x90"[..], b"\xed\xa0", b"\xc0", b"\xff", b"\xe0\x80"] {
        let bad = [kosme, start].concat();
        // In a fragment that is complete, and within a frame that is not.
        let mut within = frame(TEXT, [&bad[..], b"\x80\x80edited"].concat());
        within.truncate(within.len() - 8);
        for sent in [frame(TEXT | MORE, &bad), within] {
            let mut peer = Peer::new().await;
            peer.send(&sent).await;
            assert_eq!(peer.next().await, Some(Got::Close(1007)), "{start:x?}");
            assert_eq!(peer.next().await, None);
        }
    }
}
