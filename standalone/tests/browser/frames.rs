//! How long the page's frames take in a chat of 10,000 messages on a processor that is four times slower than this one.
//! It measures and asserts nothing: whatever else runs on the machine is in the numbers.

use crate::{
    harness::{Browser, Server, Stage},
    reading::{asked, enter_lobby, loads, scroll},
    writer::Writer,
};
use serde_json::{Value, json};

const MESSAGES: usize = 10_000;
const PAGES: usize = 12;
const KEYS: usize = 100;
const TURNS_OF_THE_WHEEL: usize = 60;

/// Notes of each frame the time since the one before it, and from its begin until it is painted.
const WATCH: &str = "
    window.frames = [];
    window.work = [];
    const { port1, port2 } = new MessageChannel();
    let begin = performance.now();
    port1.onmessage = () => work.push(performance.now() - begin);
    const watch = (now) => {
        frames.push(now - begin);
        begin = now;
        port2.postMessage(null);
        requestAnimationFrame(watch);
    };
    requestAnimationFrame(watch);";

/// A key, and all that it changes laid out; how long that takes.
const KEY: &str = "
    const field = document.getElementById('composer-text');
    const start = performance.now();
    field.setRangeText('a', field.value.length, field.value.length, 'end');
    field.dispatchEvent(new InputEvent('input', { bubbles: true, data: 'a' }));
    document.getElementById('log').scrollHeight;
    return performance.now() - start";

#[tokio::test]
#[ignore = "prints times; they mean something when nothing else runs: --ignored --nocapture"]
async fn frame_times_with_10_000_messages() {
    let stage = Stage::alone(["ann"]).await;
    let (server, [ann]) = (&stage.server, &stage.people);
    stage.tell(measure(server, ann)).await;
}

async fn measure(server: &Server, ann: &Browser) {
    let bob = Writer::register(server, "bob").await;
    bob.say_many(1, MESSAGES).await;
    enter_lobby(server, ann).await;
    ann.devtools("Emulation.setCPUThrottlingRate", json!({ "rate": 4 })).await;
    ann.run(WATCH).await;

    let (mut longest, mut work) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        let pages = asked(ann).await.0;
        watched(ann).await;
        scroll(ann, "0").await;
        ann.until("a page more", async || asked(ann).await.0 > pages && !loads(ann).await).await;
        let [frames, in_frames] = watched(ann).await;
        longest.push(*frames.last().unwrap());
        work.push(*in_frames.last().unwrap());
    }
    tell_times("a page comes, the longest frame of each", longest);
    tell_times("a page comes, the most work in a frame of each", work);

    let mut keys = Vec::new();
    for _ in 0..KEYS {
        keys.push(ann.run(KEY).await.as_f64().unwrap());
    }
    tell_times("a key", keys);

    ann.click("#pill").await;
    ann.gone("#pill:not([hidden])").await;
    watched(ann).await;
    for turn in 0..2 * TURNS_OF_THE_WHEEL {
        let down = if turn < TURNS_OF_THE_WHEEL { -60 } else { 60 };
        let wheel =
            json!({ "type": "mouseWheel", "x": 700, "y": 400, "deltaX": 0, "deltaY": down });
        ann.devtools("Input.dispatchMouseEvent", wheel).await;
    }
    let [frames, work] = watched(ann).await;
    tell_times("scrolling, between frames", frames);
    tell_times("scrolling, work in a frame", work);
}

/// What was noted since the last time, in milliseconds, the shortest first.
async fn watched(ann: &Browser) -> [Vec<f64>; 2] {
    // A frame later, or the last ones would be missing.
    let script = "const done = arguments[0];
        requestAnimationFrame(() => setTimeout(() => done([frames, work].map((times) => times.splice(0).sort((a, b) => a - b)))))";
    let noted: Value = ann.client.execute_async(script, Vec::new()).await.unwrap();
    serde_json::from_value(noted).unwrap()
}

fn tell_times(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let (count, longest) = (times.len(), times.last().unwrap());
    let [median, most] = [count / 2, count * 95 / 100].map(|at| times[at]);
    eprintln!(
        "{what}: {count} times, median {median:.1} ms, 95 % {most:.1} ms, longest {longest:.1} ms"
    );
}
