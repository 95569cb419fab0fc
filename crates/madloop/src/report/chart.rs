//! A chart as inline SVG. Its colours are the page's CSS variables; its data attributes feed the hover.

use super::Direction;
use super::plot::{Baseline, COLOURS, Plot, dashes};
use super::text::{compact, escape, short};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;
/// Points of a line beyond which they are not marked.
const MARKED: usize = 40;

/// The classes of a line, band or marker: colour by style, and the style itself for the legend's switch.
fn class(kind: &str, style: usize) -> String {
    format!(r#"class="{kind} c{}" data-s="{style}""#, style % COLOURS)
}

/// Draws the plot; `id` must be unique in the page.
pub(crate) fn svg(plot: &Plot, id: &str) -> String {
    let place = Place { plot };
    let title = escape(&plot.metric.title);
    let mut out = format!(
        r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0" aria-labelledby="{id}-t {id}-d" data-chart="{}"><title id="{id}-t">{title} over generations</title><desc id="{id}-d">{}</desc>"#,
        escape(&data(plot)),
        escape(&description(plot)),
    );
    out.push_str(&place.axes());
    for line in plot.lines.iter().filter(|line| line.points.iter().any(|p| p.n_seeds > 1)) {
        let upper = line.points.iter().map(|p| place.point(p.generation, p.high));
        let lower = line.points.iter().rev().map(|p| place.point(p.generation, p.low));
        let outline: Vec<String> = upper.chain(lower).collect();
        out.push_str(&format!(r#"<polygon {} points="{}"/>"#, class("band", line.style), outline.join(" ")));
    }
    for baseline in &plot.baselines {
        let y = place.y(baseline.value);
        let class = baseline.style.map_or(r#"class="base""#.into(), |style| class("base", style));
        out.push_str(&format!(r#"<line {class} x1="{LEFT}" x2="{}" y1="{y:.1}" y2="{y:.1}"/>"#, WIDTH - RIGHT));
    }
    for line in &plot.lines {
        let points: Vec<String> = line.points.iter().map(|p| place.point(p.generation, p.mean)).collect();
        let strokes: Vec<String> = dashes(line.style).iter().map(f64::to_string).collect();
        let strokes =
            if strokes.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{}""#, strokes.join(" ")) };
        out.push_str(&format!(r#"<g {}>"#, class("line", line.style)));
        out.push_str(&format!(r#"<polyline{strokes} points="{}"/>"#, points.join(" ")));
        if points.len() <= MARKED {
            for point in &line.points {
                let (x, y) = (place.x(point.generation), place.y(point.mean));
                out.push_str(&format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.6"/>"#));
            }
        }
        out.push_str("</g>");
    }
    out.push_str(&place.baseline_label());
    out.push_str("<g class=\"hover\"></g></svg>");
    out
}

struct Place<'a> {
    plot: &'a Plot,
}

impl Place<'_> {
    fn x(&self, generation: u32) -> f64 {
        LEFT + 8.0 + self.plot.x.at(f64::from(generation)) * (WIDTH - LEFT - RIGHT - 16.0)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.plot.y.at(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn point(&self, generation: u32, value: f64) -> String {
        format!("{:.1},{:.1}", self.x(generation), self.y(value))
    }

    fn axes(&self) -> String {
        let mut out = String::from(r#"<g class="axes">"#);
        for (value, label) in &self.plot.y.ticks {
            let y = self.y(*value);
            let end = WIDTH - RIGHT;
            out.push_str(&format!(r#"<line class="grid" x1="{LEFT}" x2="{end}" y1="{y:.1}" y2="{y:.1}"/>"#));
            let (x, y) = (LEFT - 8.0, y + 4.2);
            out.push_str(&format!(r#"<text class="tick" x="{x}" y="{y:.1}" text-anchor="end">{label}</text>"#));
        }
        let floor = HEIGHT - BOTTOM;
        out.push_str(&format!(r#"<line class="axis" x1="{LEFT}" x2="{}" y1="{floor}" y2="{floor}"/>"#, WIDTH - RIGHT));
        for (value, label) in &self.plot.x.ticks {
            let x = self.x(*value as u32);
            out.push_str(&format!(r#"<line class="axis" x1="{x:.1}" x2="{x:.1}" y1="{floor}" y2="{}"/>"#, floor + 4.0));
            let y = floor + 18.0;
            out.push_str(&format!(r#"<text class="tick" x="{x:.1}" y="{y}" text-anchor="middle">{label}</text>"#));
        }
        let (middle, below) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 7.0);
        out.push_str(&format!(r#"<text class="name" x="{middle}" y="{below}" text-anchor="middle">generation</text>"#));
        if self.plot.y.log {
            let x = WIDTH - RIGHT;
            out.push_str(&format!(r#"<text class="name" x="{x}" y="{below}" text-anchor="end">log scale</text>"#));
        }
        out.push_str("</g>");
        out
    }

    /// `real data` beside its line, at the end and on the side where fewest points are in the way.
    fn baseline_label(&self) -> String {
        const BOX: (f64, f64) = (64.0, 15.0);
        let Some(Baseline { value, .. }) = self.plot.baselines.first() else { return String::new() };
        let line = self.y(*value);
        let mut best: Option<(usize, f64, f64)> = None;
        for above in [true, false] {
            for x in [WIDTH - RIGHT - 4.0, LEFT + BOX.0 + 6.0, (WIDTH + LEFT + BOX.0) / 2.0] {
                let y = if above { line - 5.0 } else { line + 14.0 };
                if y - BOX.1 < 0.0 || y > HEIGHT - BOTTOM - 2.0 {
                    continue;
                }
                let hit = |px: f64, py: f64| (x - BOX.0..=x).contains(&px) && (y - BOX.1..=y + 4.0).contains(&py);
                let points = self.plot.lines.iter().flat_map(|l| &l.points);
                let hits = points.filter(|p| hit(self.x(p.generation), self.y(p.mean))).count()
                    + self.plot.baselines.iter().skip(1).filter(|b| hit(x, self.y(b.value))).count();
                if best.is_none_or(|(fewest, ..)| hits < fewest) {
                    best = Some((hits, x, y));
                }
            }
        }
        let Some((_, x, y)) = best else { return String::new() };
        format!(r#"<text class="real" x="{x:.1}" y="{y:.1}" text-anchor="end">real data</text>"#)
    }
}

/// Which way the metric gets better, in words.
pub(crate) fn better(direction: Direction) -> Option<&'static str> {
    match direction {
        Direction::Higher => Some("higher is better"),
        Direction::Lower => Some("lower is better"),
        Direction::Neither => None,
    }
}

fn description(plot: &Plot) -> String {
    let mut parts: Vec<String> = Vec::new();
    for line in &plot.lines {
        if let (Some(first), Some(last)) = (line.points.first(), line.points.last()) {
            let (from, to) = (short(first.mean), short(last.mean));
            let (a, b) = (first.generation, last.generation);
            parts.push(format!("{}: {from} at generation {a}, {to} at generation {b}", line.setting));
        }
    }
    parts
        .extend(plot.baselines.first().filter(|b| b.style.is_none()).map(|b| format!("real data: {}", short(b.value))));
    format!("{}.", parts.join("; "))
}

/// What the hover needs, as JSON without any text of the user's: geometry, generations, and a setting's `[mean, low, high,
/// seeds]` by generation.
fn data(plot: &Plot) -> String {
    let numbers = |values: &[f64]| values.iter().map(|v| compact(*v)).collect::<Vec<_>>().join(",");
    let generations: Vec<String> = plot.generations.iter().map(u32::to_string).collect();
    let lines = plot.lines.iter().map(|line| {
        let mut points = line.points.iter().peekable();
        let values = plot.generations.iter().map(|t| match points.next_if(|p| p.generation == *t) {
            None => "0".to_owned(),
            Some(p) if p.n_seeds == 1 => format!("[{}]", compact(p.mean)),
            Some(p) => format!("[{},{}]", numbers(&[p.mean, p.low, p.high]), p.n_seeds),
        });
        format!("[{},[{}]]", line.style, values.collect::<Vec<_>>().join(","))
    });
    let lines: Vec<String> = lines.collect();
    let baseline = plot.baselines.first().filter(|b| b.style.is_none()).map_or("null".into(), |b| compact(b.value));
    format!(
        "[[{},{},{}],[{},{},{},{},{}],[{}],[{}],{baseline}]",
        numbers(&[LEFT + 8.0, WIDTH - RIGHT - 8.0]),
        numbers(&[plot.x.low, plot.x.high]),
        WIDTH,
        numbers(&[HEIGHT - BOTTOM, TOP]),
        plot.y.low,
        plot.y.high,
        u8::from(plot.y.log),
        HEIGHT,
        generations.join(","),
        lines.join(","),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{cell, info};
    use crate::report::{plot, settings};

    #[test]
    fn a_chart_has_lines_bands_and_the_baseline() {
        let mut records = cell("fully-synthetic", 0, "recall", &[0.8, 0.7, 0.3]);
        records.extend(cell("fully-synthetic", 1, "recall", &[0.8, 0.6, 0.2]));
        records.extend(cell("fresh-data", 0, "recall", &[0.8, 0.7, 0.7]));
        let plot = plot::plot(&settings(&records), &info("recall", Direction::Higher)).expect("has points");
        let svg = svg(&plot, "x");
        assert_eq!(svg.matches("<polygon").count(), 1);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches(">real data</text>").count(), 1);
        assert!(svg.contains("fully synthetic: 0.65 at generation 1, 0.25 at generation 2"));
        let json = svg.split("data-chart=\"").nth(1).and_then(|s| s.split('"').next()).expect("has data");
        let data: serde_json::Value = serde_json::from_str(json).expect("valid JSON");
        assert_eq!(data[2], serde_json::json!([1, 2]));
        assert_eq!(data[3][0], serde_json::json!([0, [[0.65, 0.6, 0.7, 2], [0.25, 0.2, 0.3, 2]]]));
        assert_eq!(data[4], 0.8);
    }
}
