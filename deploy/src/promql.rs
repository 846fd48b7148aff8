//! Reads PromQL: which series an expression asks for, and whether what is known of these lets it find
//! anything. It knows the language only; the series it knows are its argument. Of an
//! expression it promises what the names say, not that there is data.

use crate::series::{KnownSeries, Series};
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{
        self, AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality,
        VectorSelector, value::ValueType,
    },
    util::{ExprVisitor, walk_expr},
};
use std::{collections::BTreeSet, convert::Infallible, time::Duration};

/// One selector of an expression: `gateway_closes_total{reason="silent"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesUse {
    /// As it is written, so a histogram's with `_bucket`, `_sum` or `_count`.
    pub series: String,
    /// What it demands of labels.
    pub matchers: Vec<Matcher>,
    /// The time that it looks back over, as in `[5m]`.
    pub over: Option<Duration>,
}

/// Every selector of an expression, in the order of the text. An error when it does not parse, or
/// when a selector has no name: nothing could be said of it.
pub fn uses(expr: &str) -> anyhow::Result<Vec<SeriesUse>> {
    struct Selectors(Vec<(VectorSelector, Option<Duration>)>);
    impl ExprVisitor for Selectors {
        type Error = Infallible;
        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
            match expr {
                Expr::VectorSelector(selector) => self.0.push((selector.clone(), None)),
                Expr::MatrixSelector(matrix) => {
                    self.0.push((matrix.vs.clone(), Some(matrix.range)));
                }
                _ => {}
            }
            Ok(true)
        }
    }
    let mut found = Selectors(Vec::new());
    let Ok(_) = walk_expr(&mut found, &parse(expr)?);
    let named = |(selector, over): (VectorSelector, _)| match selector.name {
        Some(series) => Ok(SeriesUse { series, matchers: selector.matchers.matchers, over }),
        None => Err(anyhow::anyhow!("a selector has no metric name: {selector}")),
    };
    found.0.into_iter().map(named).collect()
}

/// What an expression's result may carry as labels, each with its values where they are known; or
/// everything for which the expression, or a part of it, can never find anything.
pub fn check(expr: &str, registry: &KnownSeries) -> Result<Series, Vec<String>> {
    let parsed = parse(expr).map_err(|error| vec![error.to_string()])?;
    let mut check = ExpressionCheck { registry, wrong: Vec::new() };
    let labels = check.labels(&parsed);
    if check.wrong.is_empty() { Ok(labels) } else { Err(check.wrong) }
}

fn parse(expr: &str) -> anyhow::Result<Expr> {
    parser::parse(expr).map_err(|why| anyhow::anyhow!("{why} in: {expr}"))
}

struct ExpressionCheck<'a> {
    registry: &'a KnownSeries,
    wrong: Vec<String>,
}

impl ExpressionCheck<'_> {
    /// The labels of a part's result; of a number, none.
    fn labels(&mut self, expr: &Expr) -> Series {
        match expr {
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {
                Series::default()
            }
            Expr::Paren(inner) => self.labels(&inner.expr),
            Expr::Unary(inner) => self.labels(&inner.expr),
            Expr::Subquery(inner) => self.labels(&inner.expr),
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Call(call) => self.call(call),
        }
    }

    fn selector(&mut self, selector: &VectorSelector) -> Series {
        let Some(series) = selector.name.as_deref().and_then(|name| self.registry.get(name)) else {
            self.wrong.push(format!("no such series: {selector}"));
            return Series::default();
        };
        for matcher in &selector.matchers.matchers {
            match series.labels.get(&matcher.name) {
                None => self.wrong.push(format!("no label {}: {selector}", matcher.name)),
                Some(Some(values)) if !can_match(matcher, values) => {
                    self.wrong.push(format!("{matcher} is none of {values:?}: {selector}"));
                }
                Some(_) => {}
            }
        }
        series.clone()
    }

    fn aggregate(&mut self, aggregate: &AggregateExpr) -> Series {
        let inner = self.labels(&aggregate.expr);
        let operator = aggregate.op.to_string();
        // These choose whole series and keep their labels.
        if matches!(operator.as_str(), "topk" | "bottomk") {
            return inner;
        }
        let mut labels = match &aggregate.modifier {
            None => Series::default(),
            Some(LabelModifier::Include(by)) => self.only(&inner, &by.labels, aggregate),
            Some(LabelModifier::Exclude(without)) => {
                self.only(&inner, &without.labels, aggregate);
                inner.without(&without.labels)
            }
        };
        if let ("count_values", Some(Expr::StringLiteral(label))) =
            (operator.as_str(), aggregate.param.as_deref())
        {
            labels.labels.insert(label.val.clone(), None);
        }
        labels
    }

    fn binary(&mut self, binary: &BinaryExpr) -> Series {
        let (left, right) = (self.labels(&binary.lhs), self.labels(&binary.rhs));
        let scalar = |expr: &Expr| expr.value_type() == ValueType::Scalar;
        // A number has no labels: the result has those of the other side.
        match (scalar(&binary.lhs), scalar(&binary.rhs)) {
            (true, _) => return right,
            (_, true) => return left,
            (false, false) => {}
        }
        let operator = binary.op.to_string();
        // A series of the result may come from either side.
        if operator == "or" {
            return left.or(&right);
        }
        let modifier = binary.modifier.as_ref();
        let card = modifier.map(|modifier| &modifier.card);
        let extra = card.and_then(VectorMatchCardinality::labels);
        let matched = match modifier.and_then(|modifier| modifier.matching.as_ref()) {
            Some(LabelModifier::Include(on)) => {
                self.only(&left, &on.labels, binary);
                Some(self.only(&right, &on.labels, binary))
            }
            other => {
                let ignored = other.map(|ignoring| &ignoring.labels().labels[..]).unwrap_or(&[]);
                let (one, two) = (left.without(ignored), right.without(ignored));
                if extra.is_none() && !one.labels.keys().eq(two.labels.keys()) {
                    let names = |side: Series| side.labels.into_keys().collect::<Vec<_>>();
                    let sides = format!("{:?} and {:?}", names(one), names(two));
                    self.wrong.push(format!("{sides} never match: {binary}"));
                }
                None
            }
        };
        // `group_left` and `group_right` keep the labels of the side with more series, and copy the named
        // ones from the other side.
        match (card, matched) {
            (Some(VectorMatchCardinality::ManyToOne(extra)), _) => {
                left.or(&self.only(&right, &extra.labels, binary))
            }
            (Some(VectorMatchCardinality::OneToMany(extra)), _) => {
                right.or(&self.only(&left, &extra.labels, binary))
            }
            // `and` and `unless` only filter the left side, so its labels stay.
            (_, Some(on)) if !matches!(operator.as_str(), "and" | "unless") => on,
            _ => left,
        }
    }

    fn call(&mut self, call: &Call) -> Series {
        let arguments: Vec<Series> = call.args.args.iter().map(|part| self.labels(part)).collect();
        let all = arguments.iter().fold(Series::default(), |all, part| all.or(part));
        match call.func.name {
            "rate" | "irate" | "increase" if all.counts == Some(false) => {
                self.wrong.push(format!("not a counter: {}", Expr::Call(call.clone())));
                all
            }
            "histogram_quantile" if !all.labels.contains_key("le") => {
                self.wrong.push(format!("no buckets: {}", Expr::Call(call.clone())));
                all
            }
            "histogram_quantile" => all.without(&["le".to_owned()]),
            // What is not there has the labels that were asked for.
            "absent" | "absent_over_time" => {
                all.only(&equal(call.args.args.first().map(|part| &**part)))
            }
            "scalar" | "vector" | "time" => Series::default(),
            "label_replace" | "label_join" => match call.args.args.get(1).map(|label| &**label) {
                Some(Expr::StringLiteral(label)) => all.with(&label.val),
                _ => all,
            },
            _ => all,
        }
    }

    /// The labels of these names, each of which must be there.
    fn only(&mut self, of: &Series, names: &[String], place: &impl std::fmt::Display) -> Series {
        let missing: BTreeSet<_> =
            names.iter().filter(|name| !of.labels.contains_key(*name)).collect();
        for name in missing {
            self.wrong.push(format!("no label {name}: {place}"));
        }
        of.only(names)
    }
}

/// The labels of which a selector demands one value.
fn equal(selector: Option<&Expr>) -> Vec<String> {
    let selector = match selector {
        Some(Expr::VectorSelector(selector)) => selector,
        Some(Expr::MatrixSelector(matrix)) => &matrix.vs,
        _ => return Vec::new(),
    };
    let matchers = selector.matchers.matchers.iter();
    let one = matchers.filter(|matcher| matches!(matcher.op, MatchOp::Equal));
    one.map(|matcher| matcher.name.clone()).collect()
}

/// Whether a matcher speaks of values that there are. Of a regular expression, each alternative: in
/// `a|typo` the second would be silence.
fn can_match(matcher: &Matcher, values: &[String]) -> bool {
    let known = |value: &str| value.is_empty() || values.iter().any(|known| known == value);
    let (MatchOp::Re(regex) | MatchOp::NotRe(regex)) = &matcher.op else {
        return known(&matcher.value);
    };
    let plain = |part: &&str| part.chars().all(|c| c.is_alphanumeric() || "_- ".contains(c));
    let mut words = matcher.value.split('|').filter(plain);
    words.all(known) && values.iter().any(|value| regex.is_match(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{known, registry};

    fn wrong(expr: &str) -> String {
        let registry = registry::load(&known::root()).unwrap();
        check(expr, &registry).err().unwrap_or_default().join("; ")
    }

    #[test]
    fn every_selector_is_found() {
        let found = uses("sum(rate(a{x='1'}[5m])) / max_over_time(b[1h:5m]) > 3 and d").unwrap();
        let names: Vec<_> = found.iter().map(|found| found.series.as_str()).collect();
        assert_eq!(names, ["a", "b", "d"]);
        assert_eq!(found[0].matchers[0].value, "1");
        assert_eq!(found[0].over, Some(Duration::from_secs(300)));
        assert!(uses("{job='x'}").is_err() && uses("sum(").is_err());
    }

    #[test]
    fn what_can_find_something_passes_and_says_its_labels() {
        let registry = registry::load(&known::root()).unwrap();
        for (expr, labels) in [
            ("gateway_connections / gateway_connections_limit > 0.85", "instance job"),
            ("sum by (reason) (rate(gateway_closes_total{reason=~'silent|abuse'}[5m]))", "reason"),
            ("histogram_quantile(0.9, sum by (le, job) (rate(db_wait_seconds_bucket[5m])))", "job"),
            ("sum without (instance) (up{job='redis'})", "job"),
            ("absent(up{job='api'})", "job"),
            ("1 - sum(rate(http_request_duration_seconds_bucket{le='0.25'}[5m]))", ""),
            (
                "gateway_rooms * on (instance) group_left (version) switchboard_build_info",
                "instance job version",
            ),
            (
                "label_replace(gateway_rooms, 'node', '$1', 'instance', '(.*):.*')",
                "instance job node",
            ),
        ] {
            let found = check(expr, &registry).unwrap_or_else(|wrong| panic!("{expr}: {wrong:?}"));
            let found: Vec<_> = found.labels.into_keys().collect();
            assert_eq!(found.join(" "), labels, "{expr}");
        }
    }

    #[test]
    fn what_can_never_find_anything_is_named() {
        for (expr, why) in [
            ("gateway_conections", "no such series"),
            ("db_wait_seconds", "no such series"),
            ("gateway_rooms{room='1'}", "no label room"),
            ("gateway_closes_total{reason='tired'}", "is none of"),
            ("gateway_closes_total{reason!='tired'}", "is none of"),
            ("gateway_closes_total{reason=~'silent|tired'}", "is none of"),
            ("gateway_closes_total{reason=~'tired.*'}", "is none of"),
            ("gateway_rooms{job='api'}", "is none of"),
            ("db_wait_seconds_bucket{le='0.3'}", "is none of"),
            ("sum by (room) (gateway_rooms)", "no label room"),
            ("gateway_rooms / on (version) gateway_connections", "no label version"),
            ("rate(gateway_rooms[5m])", "not a counter"),
            ("histogram_quantile(0.9, rate(db_wait_seconds_count[5m]))", "no buckets"),
            ("sum by (job) (gateway_rooms) / sum(gateway_rooms)", "never match"),
        ] {
            assert!(wrong(expr).contains(why), "{expr}: {}", wrong(expr));
        }
    }
}
