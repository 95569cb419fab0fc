//! Lines of a metric against a swept value.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::canvas::{Area, INK, colour, explain, font, pixel, stroke, width};
use super::Panel;
use super::draw::{Drawn, Frame};

pub(super) fn same_labels(a: &Panel, b: &Panel) -> bool {
    a.lines.iter().map(|line| &line.label).eq(b.lines.iter().map(|line| &line.label))
}

pub(super) fn draw<B: DrawingBackend>(panel: &Panel, frame: &Frame<'_>, area: &Area<'_, B>) -> Drawn {
    let s = frame.pen.scale;
    for (style, line) in panel.lines.iter().enumerate() {
        let at = |x: f64, y: f64| (frame.x(x), frame.y(y));
        for point in line.points.iter().filter(|point| point.high > point.low) {
            let ends = [at(point.x, point.low), at(point.x, point.high)].map(|(x, y)| pixel(x, y));
            area.draw(&PathElement::new(ends, colour(style).mix(0.5).stroke_width(width(2.0 * s)))).map_err(explain)?;
        }
        let points: Vec<(f64, f64)> = line.points.iter().map(|point| at(point.x, point.mean)).collect();
        stroke(area, &points, style, 3.2, frame.pen)?;
        for (x, y) in points.iter().filter(|_| points.len() <= 40) {
            let dot = Circle::new(pixel(*x, *y), width(4.6 * s) as i32, colour(style).filled());
            area.draw(&dot).map_err(explain)?;
        }
    }
    Ok(())
}

/// The labels of the lines, in the corner of the panel that they cover least.
pub(super) fn legend<B: DrawingBackend>(panel: &Panel, frame: &Frame<'_>, area: &Area<'_, B>) -> Drawn {
    let labelled: Vec<_> = panel.lines.iter().enumerate().filter(|(_, line)| !line.label.is_empty()).collect();
    if labelled.is_empty() {
        return Ok(());
    }
    let s = frame.pen.scale;
    let style = font(19.0, s, &INK).pos(Pos::new(HPos::Left, VPos::Center));
    let mut widest = 0.0_f64;
    for (_, line) in &labelled {
        widest = widest.max(f64::from(area.estimate_text_size(&line.label, &style).map_err(explain)?.0));
    }
    let (wide, high) = (widest + 76.0 * s, labelled.len() as f64 * 27.0 * s + 14.0 * s);
    let (left, right, top, bottom) =
        (frame.left + 14.0 * s, frame.right - wide, frame.top + 6.0 * s, frame.bottom - high - 10.0 * s);
    let covered = |&(x, y): &(f64, f64)| {
        let points = panel.lines.iter().flat_map(|line| &line.points);
        let inside = |at: f64, from: f64, room: f64| (from - 10.0 * s..from + room + 10.0 * s).contains(&at);
        points.filter(|p| inside(frame.x(p.x), x, wide) && inside(frame.y(p.mean), y, high)).count()
    };
    let corners = [(right, top), (right, bottom), (left, top), (left, bottom)];
    let Some((x, y)) = corners.into_iter().min_by_key(covered) else { return Ok(()) };
    for (row, (index, line)) in labelled.iter().enumerate() {
        let y = y + (row as f64 + 0.5) * 27.0 * s + 7.0 * s;
        stroke(area, &[(x, y), (x + 36.0 * s, y)], *index, 3.6, frame.pen)?;
        area.draw_text(&line.label, &style, pixel(x + 46.0 * s, y + frame.pen.nudge(19.0))).map_err(explain)?;
    }
    Ok(())
}
