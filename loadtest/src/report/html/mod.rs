//! The report as one HTML file: no reference to anything outside, so that it can be mailed, printed
//! and read in ten years. Charts are drawn here; a small script shows figures on hovering.

mod chart;
mod charts;
mod compare;
mod scale;
mod scene;
mod tables;
mod verdict;

use self::{charts::Group, scene::Scene};
use super::{
    Report,
    text::{Escaped, count},
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

impl Report {
    /// The page. Every name and text in it that comes from outside is escaped.
    pub fn to_html(&self) -> String {
        let scene = Scene { phases: &self.phases, marks: &self.marks };
        let (word, ..) = verdict::outcome(self);
        let body = [
            header(self),
            verdict::banner(self),
            verdict::thresholds_and_cost(self),
            figures(&charts::groups(self), scene),
            tables::phases(self),
            tables::latencies(self),
            tables::marks(&self.marks),
            tables::kinds("Errors", &self.total.errors),
            tables::kinds("Closes", &self.total.closes),
            tables::scenario(self),
            tables::environment(self),
        ];
        let [head, rest @ ..] = &body;
        let rest = rest.concat();
        let body = format!("{head}{}{rest}", contents(&rest));
        page(&format!("{} · {word}", self.scenario.name), &self.tool, &body)
    }
}

/// A whole document around its body.
fn page(title: &str, tool: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n<footer>Switchboard loadtest {tool}\
         </footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = Escaped(title),
        tool = Escaped(tool),
    )
}

/// What the pages may have, in its order, and how a link there is called.
const CONTENTS: [(&str, &str); 19] = [
    ("verdict", "Result"),
    ("differences", "Differences"),
    ("one", "Only in one"),
    ("runs", "Both runs"),
    ("truth", "Truth"),
    ("usage", "Cost"),
    ("thresholds", "Thresholds"),
    ("latency", "Latency"),
    ("throughput", "Throughput"),
    ("connections", "Connections"),
    ("servers", "Servers"),
    ("phases", "Phases"),
    ("latencies", "Percentiles"),
    ("faults", "Faults"),
    ("errors", "Errors"),
    ("closes", "Closes"),
    ("scenario", "Scenario"),
    ("environment", "Where and how"),
    ("noise", "Within the tolerance"),
];

/// Links to what this body has. No text from outside has a quote in it: they are escaped.
fn contents(body: &str) -> String {
    let there = CONTENTS.iter().filter(|(id, _)| body.contains(&format!(" id=\"{id}\"")));
    let links = there.map(|(id, name)| format!("<li><a href=\"#{id}\">{name}</a></li>"));
    format!("<nav aria-label=\"Contents\"><ul>{}</ul></nav>\n", links.collect::<String>())
}

fn header(report: &Report) -> String {
    let people = &report.scenario.people;
    let agents = match report.agents {
        1 => "1 agent".to_owned(),
        agents => format!("{agents} agents"),
    };
    let server = report.environment.server.as_deref();
    let facts = [
        report.target.clone() + &server.map(|one| format!(" (version {one})")).unwrap_or_default(),
        format!("run {}", report.run),
        started(report),
        agents,
        format!("{} accounts", count(people.accounts as u64)),
        format!("seed {}", report.scenario.seed),
    ];
    let facts: String = facts.iter().map(|fact| format!("<li>{}</li>", Escaped(fact))).collect();
    format!(
        "<header><h1>{}</h1><p>{}</p><ul class=\"facts\">{facts}</ul></header>\n",
        Escaped(&report.scenario.name),
        Escaped(&report.scenario.description),
    )
}

fn started(report: &Report) -> String {
    report.started.to_string().replace('T', " ").chars().take(19).collect::<String>() + " UTC"
}

fn figures(groups: &[Group], scene: Scene<'_>) -> String {
    let mut number = 0;
    let mut figure = |chart: &chart::Chart| {
        number += 1;
        chart.figure(number, scene)
    };
    let mut group = |group: &Group| {
        let figures: String = group.charts.iter().map(&mut figure).collect();
        // As many in a row as leave no gap.
        let class = if group.charts.len().is_multiple_of(3) { "charts small" } else { "charts" };
        format!(
            "<section id=\"{}\"><h2>{}</h2><div class=\"{class}\">\n{figures}</div></section>\n",
            group.id, group.title
        )
    };
    groups.iter().map(&mut group).collect()
}

#[cfg(test)]
mod tests {
    use crate::report::sample::{TRAP, sample};

    #[test]
    fn the_page_refers_to_nothing_outside() {
        let mut page = sample().to_html();
        // The target's address is shown, not linked.
        page = page.replace("http://127.0.0.1:8000", "");
        // Links lead to places of the page.
        page = page.replace("href=\"#", "");
        for outside in
            ["http:", "https:", "//cdn", "src=", "href=", "url(", "@import", "<link", "<img"]
        {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let mut report = sample();
        for text in [
            &mut report.scenario.name,
            &mut report.scenario.description,
            &mut report.target,
            &mut report.run,
            &mut report.tool,
            &mut report.environment.command,
            &mut report.environment.host,
            &mut report.environment.kernel,
            &mut report.environment.cpu,
            &mut report.marks[0].name,
            &mut report.truth.evidence[0],
            &mut report.thresholds[0].expression,
        ] {
            TRAP.clone_into(text);
        }
        TRAP.clone_into(&mut report.marks[0].outcome);
        report.environment.server = Some(TRAP.to_owned());
        report.total.errors.insert(TRAP.to_owned(), 1);
        report.total.closes.insert(TRAP.to_owned(), 1);
        report.targets.insert(TRAP.to_owned(), report.targets["gateway-1"]);
        let target = report.series[5].targets["gateway-2"];
        report.series[5].targets.insert(TRAP.to_owned(), target);
        let page = report.to_html();
        assert!(!page.contains("<script>alert"));
        assert!(
            page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;so&quot;")
        );
        assert_eq!(page.matches("</script>").count(), page.matches("<script").count());
    }

    #[test]
    fn every_chart_is_there_with_its_table_and_the_faults_on_it() {
        let page = sample().to_html();
        let titles = [
            "Delivery latency",
            "Acknowledgement latency",
            "Connect latency",
            "Resume latency",
            "Percentile curve",
            "Messages",
            "Deliveries",
            "Connections",
            "Connects and drops",
            "Errors",
            "CPU",
            "Memory",
            "Generator lag",
        ];
        for title in titles {
            assert_eq!(page.matches(&format!("<h3>{title}</h3>")).count(), 1, "{title}");
        }
        assert_eq!(page.matches("<figure").count(), titles.len(), "what has no data has no chart");
        assert_eq!(page.matches("<summary>Figures</summary>").count(), titles.len());
        let over_time = titles.len() - 1;
        assert_eq!(page.matches(">kill gateway 1, well after 3.4 s</text>").count(), over_time);
        assert_eq!(page.matches(">settling</text>").count(), 0, "no room for its name here");
    }

    #[test]
    fn the_verdict_comes_first() {
        let page = sample().to_html();
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not there"));
        assert!(at("3 of 4 thresholds were missed") < at("1 lost"));
        assert!(at("<strong>Incorrect</strong><span>1 lost") < at("<figure"));
        assert!(at("<code>delivery.p99&lt;50ms</code></th><td>61 ms</td>") < at("<figure"));
        assert!(at("never received seq 812 of chat 3") < at("<figure"));
        at("seed = 7");
        at("122 %</span>");
        at("loadtest run mine.toml --url");
    }

    #[test]
    fn every_link_leads_to_a_place_of_the_page() {
        let page = sample().to_html();
        let links: Vec<&str> =
            page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert!(links.len() > 10, "{links:?}");
        for link in links {
            assert_eq!(page.matches(&format!(" id=\"{link}\"")).count(), 1, "{link}");
        }
    }

    #[test]
    fn figures_that_say_nothing_are_not_shown_as_if_they_did() {
        let mut report = sample();
        report.targets.values_mut().for_each(|used| used.cpu_seconds = 0.2);
        report.generator.cpu_seconds = 0.0;
        let page = report.to_html();
        assert_eq!(page.matches("too little to say").count(), 3);
        assert!(page.contains("<td class=\"number\">&lt; 0.01</td>"), "{page}");
        assert!(!page.contains("per million deliveries; "), "no tile");
        report.truth.expected = 0;
        report.truth.delivered = 0;
        report.truth.lost = 0;
        assert!(report.to_html().contains("<strong>Not checked</strong>"));
    }

    #[test]
    fn a_run_that_measured_nothing_has_a_page_too() {
        let mut report = sample();
        report.series.clear();
        report.phases.clear();
        report.total = super::super::Sums::default();
        report.curves.clear();
        report.targets.clear();
        report.thresholds.clear();
        let page = report.to_html();
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        assert_eq!(page.matches("<figure").count(), 0);
    }
}
