//! Sweep charts as figures: panels side by side, with their axes.

use plotters::prelude::*;
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::axis::Axis;
use super::super::canvas::{Area, Drawing, GRID, INK, Pen, SOFT, explain, fitted, font, pixel, width};
use super::{Body, Sweep};

/// What drawing gives.
pub(super) type Drawn = Result<(), String>;

/// Panels in a row.
const ACROSS: usize = 3;
const WIDTH: u32 = 1200;
/// Room for the heading, the legend or the names below.
const TOP: f64 = 92.0;
const BOTTOM: f64 = 84.0;
const LEFT: f64 = 104.0;
const RIGHT: f64 = 40.0;
/// Room at the right of maps for the scale of their colours.
const BAR: f64 = 96.0;
/// Between panels, for the ticks of the next.
const GAP: f64 = 70.0;

/// Where one panel lies, in pixels of the drawing.
pub(super) struct Frame<'a> {
    pub(super) x: &'a Axis,
    pub(super) y: &'a Axis,
    pub(super) pen: Pen,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Sweep {
    fn n_panels(&self) -> usize {
        match &self.body {
            Body::Maps { panels, .. } => panels.len(),
            Body::Lines { panels, .. } => panels.len(),
        }
    }
}

impl Drawing for Sweep {
    fn size(&self) -> (u32, u32) {
        let n = self.n_panels();
        let rows = n.div_ceil(ACROSS).max(1) as u32;
        let row = match n {
            1 => 624,
            2 => 474,
            _ => 404,
        };
        (WIDTH, (TOP + BOTTOM) as u32 + rows * row - 20)
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> Drawn {
        let s = pen.scale;
        let (whole_width, whole_height) = self.size();
        let n = self.n_panels().max(1);
        let (across, down) = (n.min(ACROSS), n.div_ceil(ACROSS));
        let maps = matches!(self.body, Body::Maps { .. });
        let right = f64::from(whole_width) - RIGHT - if maps { BAR } else { 0.0 };
        let (wide, high) = (
            (right - LEFT - GAP * (across - 1) as f64) / across as f64,
            (f64::from(whole_height) - TOP - BOTTOM - GAP * (down - 1) as f64) / down as f64,
        );
        let heading = font(26.0, s, &INK).pos(Pos::new(HPos::Left, VPos::Center));
        let title = fitted(&self.title, area, &heading, (f64::from(whole_width) - LEFT - RIGHT) * s)?;
        area.draw_text(&title, &heading, pixel(LEFT * s, 30.0 * s + pen.nudge(26.0))).map_err(explain)?;
        let y = match &self.body {
            Body::Maps { y, .. } => &y.axis,
            Body::Lines { y, .. } => y,
        };
        let frame = |i: usize| {
            let (column, row) = ((i % across) as f64, (i / across) as f64);
            let (left, top) = (LEFT + column * (wide + GAP), TOP + row * (high + GAP));
            Frame {
                x: &self.x.axis,
                y,
                pen,
                left: left * s,
                right: (left + wide) * s,
                top: top * s,
                bottom: (top + high) * s,
            }
        };
        let y_title = match &self.body {
            Body::Maps { y, .. } => y.title.clone(),
            Body::Lines { y, .. } if y.log => format!("{} (log scale)", self.metric.title),
            Body::Lines { .. } => self.metric.title.clone(),
        };
        for i in 0..n {
            let frame = frame(i);
            match &self.body {
                Body::Maps { y, panels, contours } => {
                    let Some(map) = panels.get(i) else { continue };
                    let paint = super::map::Paint::of(panels, contours);
                    super::map::draw(map, &self.x.values, &y.values, contours, &paint, &frame, area)?;
                    frame.title(&map.title, area)?;
                    if i == 0 {
                        let last = self::Frame { left: (right + 28.0) * s, right: (right + 52.0) * s, ..frame };
                        super::map::colour_bar(&paint, &self.metric.title, &last, area)?;
                    }
                }
                Body::Lines { panels, .. } => {
                    let Some(panel) = panels.get(i) else { continue };
                    frame.grid(area)?;
                    super::lines::draw(panel, &frame, area)?;
                    let shared = panels.windows(2).all(|two| super::lines::same_labels(&two[0], &two[1]));
                    frame.title(&panel.title, area)?;
                    if i == 0 || !shared {
                        super::lines::legend(panel, &frame, area)?;
                    }
                }
            }
            let is_lowest = i + across >= n;
            frame.axes(
                area,
                if is_lowest { &self.x.title } else { "" },
                if i % across == 0 { &y_title } else { "" },
            )?;
        }
        Ok(())
    }
}

impl Frame<'_> {
    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + self.x.at(value) * (self.right - self.left)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom - self.y.at(value) * (self.bottom - self.top)
    }

    fn title<B: DrawingBackend>(&self, title: &str, area: &Area<'_, B>) -> Drawn {
        let s = self.pen.scale;
        let style = font(22.0, s, &INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        let at = pixel((self.left + self.right) / 2.0, self.top - 12.0 * s);
        let title = fitted(title, area, &style, self.right - self.left + 0.8 * GAP * s)?;
        area.draw_text(&title, &style, at).map_err(explain)
    }

    fn grid<B: DrawingBackend>(&self, area: &Area<'_, B>) -> Drawn {
        for (value, _) in &self.y.ticks {
            let y = self.y(*value);
            let line = [pixel(self.left, y), pixel(self.right, y)];
            area.draw(&PathElement::new(line, GRID.stroke_width(width(1.5 * self.pen.scale)))).map_err(explain)?;
        }
        Ok(())
    }

    fn axes<B: DrawingBackend>(&self, area: &Area<'_, B>, x_title: &str, y_title: &str) -> Drawn {
        let s = self.pen.scale;
        let tick = font(19.0, s, &SOFT);
        let ink = SOFT.stroke_width(width(1.6 * s));
        let side = tick.clone().pos(Pos::new(HPos::Right, VPos::Center));
        for (value, label) in &self.y.ticks {
            let y = self.y(*value);
            area.draw(&PathElement::new([pixel(self.left - 6.0 * s, y), pixel(self.left, y)], ink)).map_err(explain)?;
            let at = pixel(self.left - 11.0 * s, y + self.pen.nudge(19.0));
            area.draw_text(label, &side, at).map_err(explain)?;
        }
        let below = tick.pos(Pos::new(HPos::Center, VPos::Top));
        let mut free = f64::NEG_INFINITY;
        for (value, label) in &self.x.ticks {
            let x = self.x(*value);
            area.draw(&PathElement::new([pixel(x, self.bottom), pixel(x, self.bottom + 6.0 * s)], ink))
                .map_err(explain)?;
            let (wide, _) = area.estimate_text_size(label, &below).map_err(explain)?;
            let half = f64::from(wide) / 2.0;
            if x - half > free {
                area.draw_text(label, &below, pixel(x, self.bottom + 11.0 * s)).map_err(explain)?;
                free = x + half + 6.0 * s;
            }
        }
        let corners = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
        area.draw(&PathElement::new(corners.map(|(x, y)| pixel(x, y)), ink)).map_err(explain)?;
        let name = font(21.0, s, &INK).pos(Pos::new(HPos::Center, VPos::Top));
        let middle = pixel((self.left + self.right) / 2.0, self.bottom + 44.0 * s);
        area.draw_text(&fitted(x_title, area, &name, self.right - self.left + GAP * s)?, &name, middle)
            .map_err(explain)?;
        let turned = TextStyle::from(("sans-serif", 21.0 * s).into_font().transform(FontTransform::Rotate270))
            .color(&INK)
            .pos(Pos::new(HPos::Center, VPos::Top));
        let title = fitted(y_title, area, &name, self.bottom - self.top + 60.0 * s)?;
        area.draw_text(&title, &turned, pixel(8.0 * s, (self.top + self.bottom) / 2.0)).map_err(explain)
    }
}
