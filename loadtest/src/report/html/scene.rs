//! The background of every chart over time: the run's phases and the faults.

use super::scale::{BOTTOM, LEFT, RIGHT, Scale, TOP, pixel_of};
use crate::report::{
    FaultMark, PhaseReport,
    text::{Escaped, decimals},
};

/// The width of a letter in the labels, roughly: for what must fit.
const LETTER: f64 = 6.2;

/// What comes after the last phase.
const SETTLING: &str = "settling";

/// What all charts over time show behind their lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub phases: &'a [PhaseReport],
    pub marks: &'a [FaultMark],
}

/// Phases as bands, and marks as lines with their names and the time until all was well.
pub(super) fn backdrop(scene: Scene<'_>, across: Scale) -> String {
    let phase = |(place, phase): (usize, &PhaseReport)| {
        let (from, to) = (pixel_of(across, phase.from), pixel_of(across, phase.to));
        let parity = if place % 2 == 0 { "even" } else { "odd" };
        let kind = if phase.warmup { "warmup" } else { "" };
        let name = shortened_to(&phase.name, to - from);
        format!(
            "<rect class=\"phase {parity} {kind}\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" \
             height=\"{height}\"/><text class=\"phase-name {kind}\" x=\"{x:.1}\" y=\"{y}\">{name}</text>",
            width = to - from,
            height = BOTTOM - TOP,
            x = from + 3.0,
            y = TOP - 7.0,
            name = Escaped(&name),
        )
    };
    let mark = |(place, mark): (usize, &FaultMark)| {
        let at = pixel_of(across, mark.at);
        let recovered = mark.recovery.map_or(at, |seconds| pixel_of(across, mark.at + seconds));
        // Three rows, so that marks near each other do not hide their names.
        let y = TOP + 13.0 + 13.0 * (place % 3) as f64;
        let name = match mark.recovery {
            Some(seconds) => format!("{}, well after {} s", mark.name, decimals(seconds, 1)),
            None => mark.name.clone(),
        };
        let (x, anchor, room) = if at < (LEFT + RIGHT) / 2.0 {
            (recovered + 5.0, "start", RIGHT - recovered)
        } else {
            (at - 5.0, "end", at - LEFT)
        };
        format!(
            "<rect class=\"recovery\" x=\"{at:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>\
             <path class=\"mark\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>\
             <text class=\"mark-name\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{name}</text>",
            width = recovered - at,
            height = BOTTOM - TOP,
            name = Escaped(&shortened_to(&name, room)),
        )
    };
    let phases: String = scene.phases.iter().enumerate().map(phase).collect();
    let end = scene.phases.last().map_or(RIGHT, |last| pixel_of(across, last.to));
    // Cut it would say nothing.
    let has_room = shortened_to(SETTLING, RIGHT - end) == SETTLING;
    let settling = has_room.then(|| {
        let (x, y) = (end + 3.0, TOP - 7.0);
        format!("<text class=\"phase-name warmup\" x=\"{x:.1}\" y=\"{y}\">{SETTLING}</text>")
    });
    phases
        + &settling.unwrap_or_default()
        + &scene.marks.iter().enumerate().map(mark).collect::<String>()
}

/// As much of a label as there is room for; nothing when that is nearly nothing.
fn shortened_to(name: &str, room: f64) -> String {
    let letters = (room / LETTER).max(0.0) as usize;
    match letters {
        letters if name.chars().count() <= letters => name.to_owned(),
        0..=2 => String::new(),
        letters => name.chars().take(letters - 1).chain(['…']).collect(),
    }
}
