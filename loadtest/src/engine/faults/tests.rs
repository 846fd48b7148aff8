use super::*;
use crate::measure::Slice;
use std::sync::{Arc, Mutex};

/// A second that ends at `at`, with that 99th percentile; none for no deliveries.
fn second(at: f64, millis: Option<u64>, connections: u64) -> PartSlice {
    let mut slice = Slice { connections, ..Slice::default() };
    slice.counts.insert(Count::Sent, 10);
    if let Some(millis) = millis {
        slice.latencies.entry(Op::Delivery).or_default().record(millis * 1_000);
    }
    PartSlice { at, seconds: 1.0, slice, cpu: 0.0 }
}

fn run_of(seconds: &[Option<u64>]) -> Vec<PartSlice> {
    seconds.iter().zip(1..).map(|(millis, at)| second(f64::from(at), *millis, 10)).collect()
}

#[test]
fn recovery_is_when_deliveries_stay_fast_again() {
    let run = |after: &[Option<u64>]| run_of(&[&[Some(10); 5], after].concat());
    let fast = Some(12);
    assert_eq!(recovery(5.0, None, &run(&[fast, fast, fast])), Some(0.0));
    // One good second among bad ones does not count, and nothing arriving is bad.
    let slow = run(&[Some(900), fast, None, Some(100), fast, fast]);
    assert_eq!(recovery(5.0, None, &slow), Some(4.0));
    assert_eq!(recovery(5.0, None, &run(&[Some(900), Some(900)])), None);
    // What the next fault does is not the first one's.
    let twice = run(&[Some(900), fast, Some(900), Some(900)]);
    assert_eq!(recovery(5.0, Some(7.0), &twice), Some(1.0));
    assert_eq!(recovery(5.0, None, &twice), None);
    assert_eq!(recovery(0.0, None, &twice), None, "nothing was measured before");
}

#[test]
fn who_is_missing_has_not_recovered() {
    let mut run = run_of(&[Some(10); 9]);
    run[5].slice.connections = 4;
    run[6].slice.connections = 9;
    assert_eq!(recovery(5.0, None, &run), Some(2.0));
}

#[tokio::test]
async fn commands_say_how_they_ended_and_what_they_said() {
    assert_eq!(run("true").await, "exit 0");
    assert_eq!(run("echo one; echo two >&2; exit 3").await, "exit 3: one; two");
    assert_eq!(run("kill -9 $$").await, "killed by a signal");
    let long = run("yes x | head -c 1000000").await;
    assert!(long.len() < 2 * MAX_OUTPUT, "{}", long.len());
    // A child that goes on in the background is not waited for.
    let started = Instant::now();
    assert_eq!(run("sleep 20 & echo started").await, "exit 0: started");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn faults_happen_at_their_time_and_not_after_the_end() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer: Observer = {
        let seen = Arc::clone(&seen);
        Arc::new(move |progress| {
            let RunEvent::Mark(mark) = progress else { panic!("{progress:?}") };
            seen.lock().unwrap().push(mark.name.clone());
        })
    };
    let (stop, done) = (CancellationToken::new(), CancellationToken::new());
    let run = (&stop, &done);
    let start = Instant::now();
    let soon = Fault::call("soon", Duration::from_millis(20), || async { "done".to_owned() });
    let mark = happen(&soon, start, run, &observer).await.unwrap();
    assert!(mark.at >= 0.02 && mark.outcome == "done", "{mark:?}");
    let late = Fault::call("late", Duration::from_secs(3600), || async { "done".to_owned() });
    let endless = Fault::call("endless", Duration::ZERO, || async { std::future::pending().await });
    let ending = async {
        tokio::task::yield_now().await;
        done.cancel();
    };
    let (late, endless, ()) = tokio::join!(
        happen(&late, start, run, &observer),
        happen(&endless, start, run, &observer),
        ending
    );
    assert!(late.is_none());
    assert_eq!(endless.unwrap().outcome, "still running when the run ended");
    stop.cancel();
    assert!(happen(&soon, start, run, &observer).await.is_none(), "the run was stopped");
    assert_eq!(*seen.lock().unwrap(), ["soon", "endless"]);
}
