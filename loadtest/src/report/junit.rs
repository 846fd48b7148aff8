//! The report as JUnit XML, which every CI shows: each threshold and each kind of fault is a test.

use super::{Report, RunOutcome, text::count};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

impl Report {
    /// The XML. A threshold that was not kept and a fault that was found are failures; a run that tells nothing
    /// about the servers is an error.
    pub fn to_junit(&self) -> String {
        let seconds: f64 = self.phases.iter().map(|phase| phase.to - phase.from).sum();
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let mut suite = TestSuite::new(format!("loadtest: {}", self.scenario.name));
        suite.set_time(time);
        suite.extra.insert("timestamp".into(), self.started.to_string().into());
        suite.extra.insert("hostname".into(), self.target.as_str().into());
        suite.add_test_case(outcome(self)).add_test_cases(thresholds(self));
        suite.add_test_cases(faults(self));
        let mut xml = quick_junit::Report::unnamed();
        xml.set_time(time).add_test_suite(suite);
        // Writing to memory fails only for what is not XML; the crate leaves such characters out.
        xml.to_string().unwrap_or_default()
    }

    fn case(&self, class: &str, name: &str, status: TestCaseStatus) -> TestCase {
        let mut case = TestCase::new(name, status);
        case.set_classname(format!("{}.{class}", self.scenario.name)).set_time(Duration::ZERO);
        case
    }
}

/// Whether the run tells anything about the servers.
fn outcome(report: &Report) -> TestCase {
    let error = match report.outcome {
        RunOutcome::Passed | RunOutcome::Failed => None,
        RunOutcome::GeneratorLimited => {
            let why = report.generator.limited.as_deref().unwrap_or("it had too little CPU");
            Some(format!("the load tester was the limit: {why}"))
        }
        RunOutcome::Interrupted => Some("the run was stopped before its end".to_owned()),
    };
    let status = error.map_or_else(TestCaseStatus::success, |error| {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(error);
        status
    });
    report.case("run", "completed", status)
}

fn thresholds(report: &Report) -> impl Iterator<Item = TestCase> {
    report.thresholds.iter().map(|threshold| {
        let found = match threshold.value {
            Some(_) => format!("found {}", threshold.found()),
            None => threshold.found(),
        };
        let expression = &threshold.expression;
        report.case("thresholds", expression, test_case_status(threshold.ok, found, expression))
    })
}

fn faults(report: &Report) -> impl Iterator<Item = TestCase> {
    let truth = &report.truth;
    let message = format!("{} of {} delivered", count(truth.delivered), count(truth.expected));
    let all_delivered = truth.delivered == truth.expected;
    let status = test_case_status(all_delivered, message, &truth.evidence.join("\n"));
    let delivered = report.case("truth", "delivered == expected", status);
    let each = truth.faults().into_iter().map(|(kind, found, meaning)| {
        // The checker begins each piece of evidence with its kind; without one all are shown.
        let own: Vec<&str> = truth
            .evidence
            .iter()
            .map(String::as_str)
            .filter(|line| line.replace(' ', "_").starts_with(kind))
            .collect();
        let text = if own.is_empty() { truth.evidence.join("\n") } else { own.join("\n") };
        let status = test_case_status(found == 0, format!("{}: {meaning}", count(found)), &text);
        report.case("truth", &format!("{kind} == 0"), status)
    });
    each.chain([delivered])
}

fn test_case_status(passed: bool, message: String, text: &str) -> TestCaseStatus {
    if passed {
        return TestCaseStatus::success();
    }
    let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
    failure.set_message(message).set_description(text);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn each_threshold_and_each_kind_of_fault_is_a_test() {
        let mut report = sample();
        report.scenario.name = "a & b".to_owned();
        report.thresholds.truncate(2);
        report.truth.evidence = vec!["lost: <seq 812> \u{1b}[0m".to_owned()];
        let expected = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="11" skipped="0" failures="4" errors="0" time="120.000">
    <testsuite name="loadtest: a &amp; b" tests="11" skipped="0" errors="0" failures="4" time="120.000" timestamp="2026-11-18T11:06:40.000Z" hostname="http://127.0.0.1:8000">
        <testcase name="completed" classname="a &amp; b.run" time="0.000"/>
        <testcase name="delivery.p99&lt;50ms" classname="a &amp; b.thresholds" time="0.000">
            <failure message="found 61 ms">delivery.p99&lt;50ms</failure>
        </testcase>
        <testcase name="lost==0" classname="a &amp; b.thresholds" time="0.000">
            <failure message="found 1">lost==0</failure>
        </testcase>
        <testcase name="lost == 0" classname="a &amp; b.truth" time="0.000">
            <failure message="1: an event that a device should have and never received">lost: &lt;seq 812&gt; </failure>
        </testcase>
        <testcase name="repeated == 0" classname="a &amp; b.truth" time="0.000"/>
        <testcase name="reordered == 0" classname="a &amp; b.truth" time="0.000"/>
        <testcase name="altered == 0" classname="a &amp; b.truth" time="0.000"/>
        <testcase name="not_stored == 0" classname="a &amp; b.truth" time="0.000"/>
        <testcase name="stored_twice == 0" classname="a &amp; b.truth" time="0.000"/>
        <testcase name="unrecorded == 0" classname="a &amp; b.truth" time="0.000"/>
        <testcase name="delivered == expected" classname="a &amp; b.truth" time="0.000">
            <failure message="500,159 of 500,160 delivered">lost: &lt;seq 812&gt; </failure>
        </testcase>
    </testsuite>
</testsuites>
"#;
        assert_eq!(report.to_junit(), expected);
    }

    #[test]
    fn a_run_that_says_nothing_is_an_error() {
        let mut report = sample();
        report.outcome = RunOutcome::GeneratorLimited;
        report.generator.limited = Some("lag p99 was 80 ms".to_owned());
        let xml = report.to_junit();
        assert!(xml.contains("errors=\"1\""), "{xml}");
        assert!(
            xml.contains("<error message=\"the load tester was the limit: lag p99 was 80 ms\"/>")
        );
    }
}
