//! Maps: a coloured cell a value, contours, and the scale of the colours.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::axis::Axis;
use super::super::canvas::{Area, INK, SOFT, explain, font, pixel, width};
use super::super::text::short;
use super::Map;
use super::draw::{Drawn, Frame};

const LOW: (u8, u8, u8) = (200, 80, 0);
const HIGH: (u8, u8, u8) = (0, 104, 168);

/// How values are coloured: from orange over white at the first contour to blue, each side over its own range; without a
/// contour from white to blue.
pub(super) struct Paint {
    low: f64,
    high: f64,
    middle: Option<f64>,
    log: bool,
}

impl Paint {
    pub(super) fn of(panels: &[Map], contours: &[f64]) -> Self {
        let known = || panels.iter().flat_map(|map| map.values.iter().flatten()).flatten().copied();
        let (mut low, mut high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let middle = contours.first().copied();
        let log = low > 0.0 && high / low > 3.0 && middle.is_none_or(|middle| middle > 0.0);
        if let Some(middle) = middle {
            (low, high) = (low.min(middle), high.max(middle));
        }
        if high <= low {
            high = low + if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        }
        Self { low, high, middle, log }
    }

    /// Where a value lies between two others, from 0 to 1.
    fn share(&self, value: f64, from: f64, to: f64) -> f64 {
        let share = if self.log { (value / from).ln() / (to / from).ln() } else { (value - from) / (to - from) };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    fn colour(&self, value: f64) -> RGBColor {
        let (end, share) = match self.middle {
            Some(middle) if value < middle => (LOW, self.share(value, middle, self.low)),
            Some(middle) => (HIGH, self.share(value, middle, self.high)),
            None => (HIGH, self.share(value, self.low, self.high)),
        };
        // The lightest tint is seen beside white paper.
        let blend = |end: u8| (255.0 + (f64::from(end) - 255.0) * (0.06 + 0.84 * share)).round() as u8;
        RGBColor(blend(end.0), blend(end.1), blend(end.2))
    }
}

/// The borders between the cells of neighbouring values, as positions.
fn borders(values: &[f64], axis: &Axis, at: impl Fn(f64) -> f64) -> Vec<f64> {
    let ends = [axis.low, axis.high].map(&at);
    let between = values.windows(2).map(|two| f64::midpoint(at(two[0]), at(two[1])));
    std::iter::once(ends[0]).chain(between).chain(std::iter::once(ends[1])).collect()
}

pub(super) fn draw<B: DrawingBackend>(
    map: &Map,
    xs: &[f64],
    ys: &[f64],
    contours: &[f64],
    paint: &Paint,
    frame: &Frame<'_>,
    area: &Area<'_, B>,
) -> Drawn {
    let columns = borders(xs, frame.x, |x| frame.x(x));
    let rows = borders(ys, frame.y, |y| frame.y(y));
    for (i, column) in map.values.iter().enumerate() {
        for (j, value) in column.iter().enumerate() {
            let Some(value) = value else { continue };
            let corners = [pixel(columns[i], rows[j]), pixel(columns[i + 1], rows[j + 1])];
            area.draw(&Rectangle::new(corners, paint.colour(*value).filled())).map_err(explain)?;
        }
    }
    let s = frame.pen.scale;
    for (index, &level) in contours.iter().enumerate() {
        let thick = if index == 0 { 4.0 } else { 2.0 };
        for [a, b] in segments(map, xs, ys, level, frame) {
            let ends = [pixel(a.0, a.1), pixel(b.0, b.1)];
            area.draw(&PathElement::new(ends, INK.stroke_width(width(thick * s)))).map_err(explain)?;
            for end in ends {
                area.draw(&Circle::new(end, width(thick * s / 2.0) as i32, INK.filled())).map_err(explain)?;
            }
        }
    }
    for (x, y, label) in &map.marks {
        mark((frame.x(*x), frame.y(*y)), label, frame, area)?;
    }
    Ok(())
}

/// A ring with a label on the side where there is room.
fn mark<B: DrawingBackend>((x, y): (f64, f64), label: &str, frame: &Frame<'_>, area: &Area<'_, B>) -> Drawn {
    let s = frame.pen.scale;
    let inside = (frame.left..=frame.right).contains(&x) && (frame.top..=frame.bottom).contains(&y);
    if !inside {
        return Ok(());
    }
    area.draw(&Circle::new(pixel(x, y), width(9.0 * s) as i32, WHITE.filled())).map_err(explain)?;
    area.draw(&Circle::new(pixel(x, y), width(6.0 * s) as i32, INK.filled())).map_err(explain)?;
    let is_right = x > (frame.left + frame.right) / 2.0;
    let side = if is_right { HPos::Right } else { HPos::Left };
    let style = font(20.0, s, &INK).pos(Pos::new(side, VPos::Center));
    let offset = if is_right { -16.0 } else { 16.0 } * s;
    area.draw_text(label, &style, pixel(x + offset, y + frame.pen.nudge(20.0))).map_err(explain)
}

/// The contour of a level, by marching squares: in each square of neighbouring values the level's points on its sides are found
/// by a straight line (in the logarithm where values are positive) and joined; in the saddle, by the value of its middle.
fn segments(map: &Map, xs: &[f64], ys: &[f64], level: f64, frame: &Frame<'_>) -> Vec<[(f64, f64); 2]> {
    let height = |value: f64| if level > 0.0 && value > 0.0 { (value / level).ln() } else { value - level };
    let mut found = Vec::new();
    for i in 0..xs.len().saturating_sub(1) {
        for j in 0..ys.len().saturating_sub(1) {
            // Around the square.
            let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
            let values: Option<Vec<f64>> = corners.iter().map(|&(i, j)| map.values[i][j].map(height)).collect();
            let Some(values) = values else { continue };
            let place = |(i, j): (usize, usize)| (frame.x(xs[i]), frame.y(ys[j]));
            let mut points = Vec::new();
            for side in 0..4 {
                let next = (side + 1) % 4;
                let (a, b) = (values[side], values[next]);
                if (a >= 0.0) != (b >= 0.0) {
                    let (from, to, share) = (place(corners[side]), place(corners[next]), a / (a - b));
                    points.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
                }
            }
            match *points.as_slice() {
                [a, b] => found.push([a, b]),
                [a, b, c, d] => {
                    // The corner 0 is cut off from the rest unless the middle is on its side.
                    let middle = values.iter().sum::<f64>() / 4.0;
                    if (middle >= 0.0) == (values[0] >= 0.0) {
                        found.extend([[a, b], [c, d]]);
                    } else {
                        found.extend([[d, a], [b, c]]);
                    }
                }
                _ => {}
            }
        }
    }
    found
}

/// The scale of the colours, in the frame's place.
pub(super) fn colour_bar<B: DrawingBackend>(
    paint: &Paint,
    title: &str,
    frame: &Frame<'_>,
    area: &Area<'_, B>,
) -> Drawn {
    const STEPS: u32 = 96;
    let s = frame.pen.scale;
    let high = frame.bottom - frame.top;
    // The middle of the colours is the middle of the bar: each side has its own range.
    let at = |share: f64| match paint.middle {
        Some(middle) if middle > paint.low && middle < paint.high => match share < 0.5 {
            true => between(paint, paint.low, middle, 2.0 * share),
            false => between(paint, middle, paint.high, 2.0 * share - 1.0),
        },
        _ => between(paint, paint.low, paint.high, share),
    };
    for step in 0..STEPS {
        let share = |step: u32| f64::from(step) / f64::from(STEPS);
        let corners = [
            pixel(frame.left, frame.bottom - share(step) * high),
            pixel(frame.right, frame.bottom - (share(step + 1) * high + s).min(high)),
        ];
        let value = at(share(step) + 0.5 / f64::from(STEPS));
        area.draw(&Rectangle::new(corners, paint.colour(value).filled())).map_err(explain)?;
    }
    let label = font(18.0, s, &SOFT).pos(Pos::new(HPos::Left, VPos::Center));
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let place = pixel(frame.right + 8.0 * s, frame.bottom - share * high + frame.pen.nudge(18.0));
        area.draw_text(&short(at(share)), &label, place).map_err(explain)?;
    }
    let name = font(19.0, s, &INK).pos(Pos::new(HPos::Left, VPos::Bottom));
    area.draw_text(title, &name, pixel(frame.left, frame.top - 20.0 * s)).map_err(explain)
}

fn between(paint: &Paint, from: f64, to: f64, share: f64) -> f64 {
    if paint.log { from * (to / from).powf(share) } else { from + (to - from) * share }
}

#[cfg(test)]
mod tests {
    use super::super::super::axis::map_axis;
    use super::super::super::canvas::Pen;
    use super::*;

    #[test]
    fn a_contour_goes_through_where_the_level_is() {
        let (xs, ys) = ([1.0, 10.0, 100.0], [1.0, 10.0, 100.0, 1000.0]);
        // x / y = 1 on the diagonal.
        let values = xs.iter().map(|x| ys.iter().map(|y| Some(x / y)).collect()).collect();
        let map = Map { title: String::new(), values, marks: vec![] };
        let (x, y) = (map_axis(&xs, true), map_axis(&ys, true));
        let pen = Pen { scale: 1.0, bitmap: false };
        let frame = Frame { x: &x, y: &y, pen, left: 0.0, right: 300.0, top: 0.0, bottom: 400.0 };
        let found = segments(&map, &xs, &ys, 1.0, &frame);
        assert!(!found.is_empty());
        for (px, py) in found.into_iter().flatten() {
            let share = |at: f64, low: f64, high: f64| low * (high / low).powf(at);
            let (x, y) = (share(px / 300.0, x.low, x.high), share(1.0 - py / 400.0, y.low, y.high));
            assert!((x / y - 1.0).abs() < 1e-9, "{x} {y}");
        }
    }

    #[test]
    fn colours_part_at_the_contour() {
        let map =
            Map { title: String::new(), values: vec![vec![Some(0.1), Some(1.0), Some(1.9), None]], marks: vec![] };
        let paint = Paint::of(&[map], &[1.0]);
        let RGBColor(red, _, blue) = paint.colour(0.2);
        assert!(red > blue);
        let RGBColor(red, _, blue) = paint.colour(1.8);
        assert!(red < blue);
        let flat = Paint::of(&[Map { title: String::new(), values: vec![vec![Some(2.0)]], marks: vec![] }], &[]);
        assert!(flat.colour(2.0) != flat.colour(3.0));
    }
}
