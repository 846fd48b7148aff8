//! One chart: a figure with a drawing, a legend, what the page's script shows on hovering, and the
//! figures in a table for those who cannot see or point.

use super::{
    scale::{BOTTOM, LEFT, RIGHT, Scale, TOP, pixel_of},
    scene::{Scene, backdrop},
};
use crate::report::text::{Escaped, FigureUnit, decimals, moment, script_json};
use serde_json::json;

/// The drawing's own units: about the pixels of one on a screen of 1280.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 270.0;

/// Rows of a chart's table: as many as anybody reads. The JSON report has all points.
const ROWS: usize = 60;

/// Up to so many places next to each other are drawn as a dash each.
const FEW: usize = 3;

/// Lines over one axis.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub title: String,
    /// What to know about it, in a sentence.
    pub note: &'static str,
    pub x: Across,
    pub unit: FigureUnit,
    /// Each power of ten takes the same room.
    pub log: bool,
    pub lines: Vec<ChartLine>,
}

/// What the horizontal axis is, and the places that all lines have values at, in order.
#[derive(Clone, Debug)]
pub(super) enum Across {
    Seconds(Vec<f64>),
    Percentiles(Vec<f64>),
}

/// A line. Where it has no value it is broken.
#[derive(Clone, Debug)]
pub(super) struct ChartLine {
    pub name: String,
    /// Which of the page's colours, from 0 to 5 and then again.
    pub color: usize,
    pub style: Style,
    pub values: Vec<Option<f64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// With the room below it shaded.
    Filled,
    Dashed,
    /// Pale and wide, so that it is seen on both sides of a line that hides it.
    Wide,
    Widest,
}

impl Across {
    fn values(&self) -> &[f64] {
        let (Self::Seconds(values) | Self::Percentiles(values)) = self;
        values
    }

    fn scale(&self) -> Scale {
        let to = self.values().last().copied().unwrap_or_default();
        match self {
            Self::Seconds(_) => Scale::Even { to: to.max(1.0) },
            Self::Percentiles(_) => Scale::Nines { to: to.max(90.0) },
        }
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self {
            Self::Seconds(_) => self.scale().moments(),
            Self::Percentiles(_) => self.scale().ticks(FigureUnit::Plain),
        }
    }

    fn label(&self, value: f64) -> String {
        match self {
            Self::Seconds(_) => moment(value),
            Self::Percentiles(_) => format!("{} %", decimals(value, 4)),
        }
    }
}

impl Chart {
    /// Whether there is anything to see.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.values.iter().all(Option::is_none))
    }

    /// The `<figure>`. The number tells it from the page's other ones.
    pub(super) fn figure(&self, number: usize, scene: Scene<'_>) -> String {
        format!(
            "<figure id=\"chart-{number}\" data-chart>\n<figcaption><h3>{title}</h3><p>{note}</p>\
             {legend}</figcaption>\n<div class=\"plot\">{svg}<div class=\"tip\" hidden></div></div>\n\
             {table}\n<script type=\"application/json\">{data}</script>\n</figure>\n",
            title = Escaped(&self.title),
            note = Escaped(self.note),
            legend = self.legend(),
            svg = self.svg(number, scene),
            table = self.table(),
            data = self.data(),
        )
    }

    fn legend(&self) -> String {
        let item = |line: &ChartLine| {
            let ChartLine { name, color, style, .. } = line;
            let (color, dash) = (color % 6, class(*style));
            let swatch = format!(
                "<svg viewBox=\"0 0 24 8\" aria-hidden=\"true\"><path class=\"line c{color} {dash}\" \
                 d=\"M1 4H23\"/></svg>"
            );
            format!("<li>{swatch}{}</li>", Escaped(name))
        };
        format!("<ul class=\"legend\">{}</ul>", self.lines.iter().map(item).collect::<String>())
    }

    fn svg(&self, number: usize, scene: Scene<'_>) -> String {
        let y = self.scale();
        let across = self.x.scale();
        let scene = match self.x {
            Across::Seconds(_) => backdrop(scene, across),
            Across::Percentiles(_) => String::new(),
        };
        let rows = y.ticks(self.unit).into_iter().map(|(value, label)| {
            let at = up(y, value);
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text x=\"{x}\" y=\"{at:.1}\" \
                 dy=\".32em\" text-anchor=\"end\">{label}</text>",
                x = LEFT - 7.0
            )
        });
        let columns = self.x.ticks().into_iter().map(|(value, label)| {
            let at = pixel_of(across, value);
            let y = BOTTOM + 17.0;
            let anchor = if at > RIGHT - 20.0 { "end" } else { "middle" };
            format!(
                "<path class=\"tick\" d=\"M{at:.1} {BOTTOM}v4\"/><text x=\"{at:.1}\" y=\"{y}\" \
                 text-anchor=\"{anchor}\">{label}</text>"
            )
        });
        // The first line is drawn last: the others are its background.
        let lines = self.lines.iter().rev().map(|line| self.draw(line, across, y));
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t{number}\">\
             <title id=\"t{number}\">{title}: {what}</title>{scene}{}{}{}\
             <path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/>\
             <path class=\"cursor\" d=\"M0 {TOP}V{BOTTOM}\" visibility=\"hidden\"/></svg>",
            rows.collect::<String>(),
            columns.collect::<String>(),
            lines.collect::<String>(),
            title = Escaped(&self.title),
            what = Escaped(&self.aria_label()),
        )
    }

    fn scale(&self) -> Scale {
        let values = self.lines.iter().flat_map(|line| line.values.iter().copied().flatten());
        if self.log { Scale::log(values) } else { Scale::even(values, self.unit) }
    }

    /// The drawing in words: what each line reaches.
    fn aria_label(&self) -> String {
        let line = |line: &ChartLine| {
            let most = line.values.iter().copied().flatten().reduce(f64::max)?;
            Some(format!("{} up to {}", line.name, self.unit.text(most)))
        };
        self.lines.iter().filter_map(line).collect::<Vec<_>>().join(", ")
    }

    fn draw(&self, line: &ChartLine, across: Scale, y: Scale) -> String {
        let places = self.x.values().iter().zip(&line.values);
        let places: Vec<Option<(f64, f64)>> = places
            .map(|(x, value)| value.map(|value| (pixel_of(across, *x), up(y, value))))
            .collect();
        let (mut path, mut area) = (String::new(), String::new());
        for run in places.split(Option::is_none) {
            let points: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
            let (Some((first, height)), Some((last, _))) = (points.first(), points.last()) else {
                continue;
            };
            if points.len() <= FEW {
                // A line between them would show a course where there is none.
                let dash = |(x, y): &(f64, f64)| format!("M{:.1} {y:.1}h6", x - 3.0);
                path.extend(points.iter().map(dash));
                continue;
            }
            let steps: String =
                points[1..].iter().map(|(x, y)| format!("L{x:.1} {y:.1}")).collect();
            path.push_str(&format!("M{first:.1} {height:.1}{steps}"));
            area.push_str(&format!(
                "M{first:.1} {BOTTOM}L{first:.1} {height:.1}{steps}L{last:.1} {BOTTOM}Z"
            ));
        }
        let (color, dash) = (line.color % 6, class(line.style));
        let area = match line.style {
            Style::Filled => format!("<path class=\"area c{color}\" d=\"{area}\"/>"),
            Style::Plain | Style::Dashed | Style::Wide | Style::Widest => String::new(),
        };
        format!("{area}<path class=\"line c{color} {dash}\" d=\"{path}\"/>")
    }

    fn table(&self) -> String {
        let across = self.x.values();
        let each = across.len().div_ceil(ROWS).max(1);
        let caption = match each {
            1 => "All points".to_owned(),
            each => format!("One point of {each}; the JSON report has them all"),
        };
        let heads =
            self.lines.iter().map(|line| format!("<th scope=\"col\">{}</th>", Escaped(&line.name)));
        let row = |(place, at): (usize, &f64)| {
            let cell = |line: &ChartLine| {
                let value = line.values.get(place).copied().flatten();
                format!("<td>{}</td>", value.map_or("–".to_owned(), |value| self.unit.text(value)))
            };
            let cells: String = self.lines.iter().map(cell).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", self.x.label(*at))
        };
        format!(
            "<details><summary>Figures</summary><div class=\"scroll\"><table><caption>{caption}</caption>\
             <thead><tr><th scope=\"col\">at</th>{}</tr></thead><tbody>{}</tbody></table></div></details>",
            heads.collect::<String>(),
            across.iter().enumerate().step_by(each).map(row).collect::<String>(),
        )
    }

    /// What the page's script needs: places in the drawing's units, their labels, each line's values.
    fn data(&self) -> String {
        let across = self.x.scale();
        let places: Vec<f64> =
            self.x.values().iter().map(|x| (pixel_of(across, *x) * 10.0).round() / 10.0).collect();
        let labels: Vec<String> = self.x.values().iter().map(|x| self.x.label(*x)).collect();
        let line = |line: &ChartLine| {
            let values: Vec<Option<f64>> =
                line.values.iter().map(|value| value.map(significant)).collect();
            json!({ "name": line.name, "color": line.color % 6, "values": values })
        };
        let lines: Vec<_> = self.lines.iter().map(line).collect();
        script_json(&json!({
            "places": places, "labels": labels, "lines": lines, "unit": self.unit.key(), "width": WIDTH,
        }))
    }
}

fn class(style: Style) -> &'static str {
    match style {
        Style::Dashed => "dashed",
        Style::Wide => "wide",
        Style::Widest => "widest",
        Style::Plain | Style::Filled => "",
    }
}

fn up(scale: Scale, value: f64) -> f64 {
    BOTTOM - scale.place(value) * (BOTTOM - TOP)
}

/// Four digits: more than a tooltip shows.
fn significant(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 10f64.powf(3.0 - value.abs().log10().floor());
    (value * digits).round() / digits
}
