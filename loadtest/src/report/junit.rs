//! The report as JUnit XML, which every CI shows: each threshold and each kind of fault is a test.

use super::{
    Outcome, Report,
    text::{Escaped, count},
};

impl Report {
    /// The XML. What a CI calls a failure is a threshold that was not kept or a fault that was found; an
    /// error is a run that says nothing of the servers.
    pub fn to_junit(&self) -> String {
        let cases: Vec<Case> =
            [outcome(self)].into_iter().chain(thresholds(self)).chain(faults(self)).collect();
        let count = |of: fn(&Trouble) -> bool| {
            cases.iter().filter(|case| case.trouble.as_ref().is_some_and(of)).count()
        };
        let failures = count(|trouble| matches!(trouble, Trouble::Failure { .. }));
        let errors = count(|trouble| matches!(trouble, Trouble::Error(_)));
        let seconds: f64 = self.phases.iter().map(|phase| phase.to - phase.from).sum();
        let numbers = format!(
            "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.3}\"",
            cases.len()
        );
        let name = Escaped(&self.scenario.name);
        let started = self.started;
        let cases: String = cases.iter().map(|case| case.xml(name)).collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {numbers}>\n  <testsuite name=\"loadtest: {name}\" \
             {numbers} skipped=\"0\" timestamp=\"{started}\" hostname=\"{}\">\n{cases}  </testsuite>\n</testsuites>\n",
            Escaped(&self.target),
        )
    }
}

struct Case {
    class: &'static str,
    name: String,
    trouble: Option<Trouble>,
}

enum Trouble {
    Failure { message: String, text: String },
    Error(String),
}

impl Case {
    fn xml(&self, scenario: Escaped<'_>) -> String {
        let Self { class, name, trouble } = self;
        let open = format!(
            "    <testcase classname=\"{scenario}.{class}\" name=\"{}\" time=\"0\"",
            Escaped(name)
        );
        match trouble {
            None => format!("{open}/>\n"),
            Some(Trouble::Failure { message, text }) => format!(
                "{open}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                Escaped(message),
                Escaped(text)
            ),
            Some(Trouble::Error(message)) => format!(
                "{open}>\n      <error message=\"{}\"/>\n    </testcase>\n",
                Escaped(message)
            ),
        }
    }
}

/// Whether the run says anything.
fn outcome(report: &Report) -> Case {
    let trouble = match report.outcome {
        Outcome::Passed | Outcome::Failed => None,
        Outcome::GeneratorLimited => {
            let why = report.generator.limited.as_deref().unwrap_or("it had too little CPU");
            Some(Trouble::Error(format!("the load tester was the limit: {why}")))
        }
        Outcome::Interrupted => {
            Some(Trouble::Error("the run was stopped before its end".to_owned()))
        }
    };
    Case { class: "run", name: "completed".to_owned(), trouble }
}

fn thresholds(report: &Report) -> impl Iterator<Item = Case> {
    report.thresholds.iter().map(|threshold| {
        let found = threshold.value.map_or_else(
            || "nothing of it was measured".to_owned(),
            |value| format!("found {value}"),
        );
        let trouble = (!threshold.ok)
            .then(|| Trouble::Failure { message: found, text: threshold.expression.clone() });
        Case { class: "thresholds", name: threshold.expression.clone(), trouble }
    })
}

fn faults(report: &Report) -> impl Iterator<Item = Case> {
    let truth = &report.truth;
    let undelivered = (truth.delivered != truth.expected).then(|| Trouble::Failure {
        message: format!("{} of {} delivered", count(truth.delivered), count(truth.expected)),
        text: truth.evidence.join("\n"),
    });
    let delivered =
        Case { class: "truth", name: "delivered == expected".to_owned(), trouble: undelivered };
    let each = truth.faults().into_iter().map(|(kind, found, meaning)| {
        // The checker begins each piece of evidence with its kind; without one all are shown.
        let own: Vec<&str> = truth
            .evidence
            .iter()
            .map(String::as_str)
            .filter(|line| line.replace(' ', "_").starts_with(kind))
            .collect();
        let text = if own.is_empty() { truth.evidence.join("\n") } else { own.join("\n") };
        let trouble = (found > 0)
            .then(|| Trouble::Failure { message: format!("{}: {meaning}", count(found)), text });
        Case { class: "truth", name: format!("{kind} == 0"), trouble }
    });
    each.chain([delivered])
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
<testsuites tests="11" failures="4" errors="0" time="120.000">
  <testsuite name="loadtest: a &amp; b" tests="11" failures="4" errors="0" time="120.000" skipped="0" timestamp="2026-11-18T11:06:40.000Z" hostname="http://127.0.0.1:8000">
    <testcase classname="a &amp; b.run" name="completed" time="0"/>
    <testcase classname="a &amp; b.thresholds" name="delivery.p99&lt;50ms" time="0">
      <failure message="found 61.2">delivery.p99&lt;50ms</failure>
    </testcase>
    <testcase classname="a &amp; b.thresholds" name="lost==0" time="0">
      <failure message="found 1">lost==0</failure>
    </testcase>
    <testcase classname="a &amp; b.truth" name="lost == 0" time="0">
      <failure message="1: an event that a device should have and never received">lost: &lt;seq 812&gt; �[0m</failure>
    </testcase>
    <testcase classname="a &amp; b.truth" name="repeated == 0" time="0"/>
    <testcase classname="a &amp; b.truth" name="reordered == 0" time="0"/>
    <testcase classname="a &amp; b.truth" name="altered == 0" time="0"/>
    <testcase classname="a &amp; b.truth" name="not_stored == 0" time="0"/>
    <testcase classname="a &amp; b.truth" name="stored_twice == 0" time="0"/>
    <testcase classname="a &amp; b.truth" name="unrecorded == 0" time="0"/>
    <testcase classname="a &amp; b.truth" name="delivered == expected" time="0">
      <failure message="500,159 of 500,160 delivered">lost: &lt;seq 812&gt; �[0m</failure>
    </testcase>
  </testsuite>
</testsuites>
"#;
        assert_eq!(report.to_junit(), expected);
    }

    #[test]
    fn a_run_that_says_nothing_is_an_error() {
        let mut report = sample();
        report.outcome = Outcome::GeneratorLimited;
        report.generator.limited = Some("lag p99 was 80 ms".to_owned());
        let xml = report.to_junit();
        assert!(xml.contains("errors=\"1\""), "{xml}");
        assert!(
            xml.contains("<error message=\"the load tester was the limit: lag p99 was 80 ms\"/>")
        );
    }
}
