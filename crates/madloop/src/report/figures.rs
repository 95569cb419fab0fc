//! The charts as files: SVG and PNG for papers and slides.

use std::fs;
use std::path::{Path, PathBuf};

use madloop_core::Record;
use plotters::prelude::*;
use plotters::style::FontTransform;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{
    self, Area, Drawing, GRID, INK, Pen, SOFT, colour, dashed, explain, fitted, font, pixel, stroke, width,
};
use super::plot::{Plot, plot};
use super::sweep::sweeps;
use super::{MetricInfo, series, view};
use crate::config::ChartConfig;
use crate::{Error, Result};

const SIZE: (u32, u32) = (1200, 800);
/// Generations drawn at most, evenly chosen.
const GENERATIONS: usize = 400;
/// Writes `DIR/<metric>.svg` and `DIR/<metric>.png` (1200 x 800) for each of `metrics` that has values, or for every metric
/// of the records when `metrics` is empty; returns the files. Of more than 400 generations, 400 evenly chosen ones are drawn.
#[expect(clippy::disallowed_methods, reason = "figures are files")]
pub fn write_figures(records: &[Record], metrics: &[MetricInfo], dir: &Path) -> Result<Vec<PathBuf>> {
    const REMEDY: &str = "check that the folder can be written and the disk is not full";
    fs::create_dir_all(dir).map_err(Error::io("make the folder", dir, REMEDY))?;
    let settings = series::settings(records);
    let mut all = view::described(records, metrics);
    if !metrics.is_empty() {
        all.retain(|info| metrics.iter().any(|wanted| wanted.name == info.name));
    }
    let mut files = Vec::new();
    for plot in all.iter().filter_map(|info| plot(&settings, info)) {
        let plot = plot.thinned(GENERATIONS);
        files.extend(canvas::write(&plot, dir, &plot.metric.name)?);
    }
    Ok(files)
}

/// Writes `DIR/<name>.svg` and `DIR/<name>.png` for each chart over the sweep that has values; returns the files.
#[expect(clippy::disallowed_methods, reason = "figures are files")]
pub fn write_charts(
    records: &[Record],
    charts: &[ChartConfig],
    metrics: &[MetricInfo],
    dir: &Path,
) -> Result<Vec<PathBuf>> {
    const REMEDY: &str = "check that the folder can be written and the disk is not full";
    fs::create_dir_all(dir).map_err(Error::io("make the folder", dir, REMEDY))?;
    let mut files = Vec::new();
    for sweep in sweeps(records, charts, metrics) {
        files.extend(canvas::write(&sweep, dir, &sweep.name)?);
    }
    Ok(files)
}

/// Where things lie, in pixels of the drawing.
struct Frame<'a> {
    plot: &'a Plot,
    pen: Pen,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Drawing for Plot {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
        let scale = pen.scale;
        let legend = legend(self, area, pen)?;
        let (width, height) = (f64::from(SIZE.0) * scale, f64::from(SIZE.1) * scale);
        let frame = Frame {
            plot: self,
            pen,
            left: 128.0 * scale,
            right: width - 128.0 * scale,
            top: legend + 22.0 * scale,
            bottom: height - 96.0 * scale,
        };
        frame.axes(area)?;
        frame.bands(area)?;
        frame.baselines(area)?;
        frame.lines(area)
    }
}

/// Draws the legend from the top, in as many rows as it takes; returns where it ends.
fn legend<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>, pen: Pen) -> std::result::Result<f64, String> {
    let scale = pen.scale;
    let size = if plot.lines.len() > 12 { 19.0 } else { 23.0 };
    let style = font(size, scale, &INK).pos(Pos::new(HPos::Left, VPos::Center));
    let (start, end) = (128.0 * scale, (f64::from(SIZE.0) - 40.0) * scale);
    let (mut x, mut y) = (start, 44.0 * scale);
    for line in &plot.lines {
        let text = fitted(&line.setting, area, &style, end - start - 60.0 * scale)?;
        let (wide, _) = area.estimate_text_size(&text, &style).map_err(explain)?;
        let needed = f64::from(wide) + 56.0 * scale;
        if x > start && x + needed > end {
            (x, y) = (start, y + (size + 12.0) * scale);
        }
        stroke(area, &[(x, y), (x + 44.0 * scale, y)], line.style, 4.0, pen)?;
        area.draw_text(&text, &style, pixel(x + 56.0 * scale, y + pen.nudge(size))).map_err(explain)?;
        x += needed + 34.0 * scale;
    }
    Ok(y + size / 2.0 * scale)
}

impl Frame<'_> {
    fn x(&self, generation: f64) -> f64 {
        let room = 16.0 * self.pen.scale;
        self.left + room + self.plot.x.at(generation) * (self.right - self.left - 2.0 * room)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - self.plot.y.at(value) * (self.bottom - self.top)
    }

    fn axes<B: DrawingBackend>(&self, area: &Area<'_, B>) -> std::result::Result<(), String> {
        let s = self.pen.scale;
        let tick = font(23.0, s, &SOFT);
        let right = tick.pos(Pos::new(HPos::Right, VPos::Center));
        for (value, label) in &self.plot.y.ticks {
            let y = self.y(*value);
            let line = [pixel(self.left, y), pixel(self.right, y)];
            area.draw(&PathElement::new(line, GRID.stroke_width(width(1.5 * s)))).map_err(explain)?;
            area.draw_text(label, &right, pixel(self.left - 14.0 * s, y + self.pen.nudge(23.0))).map_err(explain)?;
        }
        let below = font(23.0, s, &SOFT).pos(Pos::new(HPos::Center, VPos::Top));
        for (value, label) in &self.plot.x.ticks {
            let x = self.x(*value);
            let line = [pixel(x, self.bottom), pixel(x, self.bottom + 8.0 * s)];
            area.draw(&PathElement::new(line, SOFT.stroke_width(width(2.0 * s)))).map_err(explain)?;
            area.draw_text(label, &below, pixel(x, self.bottom + 14.0 * s)).map_err(explain)?;
        }
        let floor = [pixel(self.left, self.bottom), pixel(self.right, self.bottom)];
        area.draw(&PathElement::new(floor, SOFT.stroke_width(width(2.0 * s)))).map_err(explain)?;
        let name = font(26.0, s, &INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        let middle = (self.left + self.right) / 2.0;
        let bottom = (f64::from(SIZE.1) - 14.0) * s;
        area.draw_text("generation", &name, pixel(middle, bottom)).map_err(explain)?;
        let turned = TextStyle::from(("sans-serif", 26.0 * s).into_font().transform(FontTransform::Rotate270))
            .color(&INK)
            .pos(Pos::new(HPos::Center, VPos::Top));
        let log = if self.plot.y.log { " (log scale)" } else { "" };
        let title = format!("{}{log}", self.plot.metric.title);
        let title = fitted(&title, area, &name, self.bottom - self.top)?;
        area.draw_text(&title, &turned, pixel(14.0 * s, (self.top + self.bottom) / 2.0)).map_err(explain)
    }

    fn bands<B: DrawingBackend>(&self, area: &Area<'_, B>) -> std::result::Result<(), String> {
        for line in self.plot.lines.iter().filter(|line| line.points.iter().any(|p| p.n_seeds > 1)) {
            let upper = line.points.iter().map(|p| pixel(self.x(f64::from(p.generation)), self.y(p.high)));
            let lower = line.points.iter().rev().map(|p| pixel(self.x(f64::from(p.generation)), self.y(p.low)));
            let outline: Vec<_> = upper.chain(lower).collect();
            area.draw(&Polygon::new(outline, colour(line.style).mix(0.16))).map_err(explain)?;
        }
        Ok(())
    }

    fn baselines<B: DrawingBackend>(&self, area: &Area<'_, B>) -> std::result::Result<(), String> {
        let s = self.pen.scale;
        let label = font(21.0, s, &SOFT).pos(Pos::new(HPos::Left, VPos::Center));
        for baseline in &self.plot.baselines {
            let y = self.y(baseline.value);
            let ends = [(self.left, y), (self.right, y)];
            let paint = baseline.style.map_or(SOFT, colour);
            dashed(area, &ends, &[10.0 * s, 7.0 * s], paint.stroke_width(width(2.5 * s)))?;
        }
        match self.plot.baselines.first() {
            Some(first) => {
                let at = pixel(self.right + 10.0 * s, self.y(first.value) + self.pen.nudge(21.0));
                area.draw_text("real data", &label, at).map_err(explain)
            }
            None => Ok(()),
        }
    }

    fn lines<B: DrawingBackend>(&self, area: &Area<'_, B>) -> std::result::Result<(), String> {
        let s = self.pen.scale;
        for line in &self.plot.lines {
            let points: Vec<(f64, f64)> =
                line.points.iter().map(|p| (self.x(f64::from(p.generation)), self.y(p.mean))).collect();
            let size = if points.len() > 100 { 2.4 } else { 3.6 };
            stroke(area, &points, line.style, size, self.pen)?;
            if points.len() <= 40 {
                for (x, y) in points {
                    let dot = Circle::new(pixel(x, y), width(5.5 * s) as i32, colour(line.style).filled());
                    area.draw(&dot).map_err(explain)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests look at files")]
mod tests {
    use super::*;
    use crate::report::Direction;
    use crate::report::testing::{cell, info};

    #[test]
    fn figures_are_written_and_decode() {
        let mut records = cell("fully-synthetic", 0, "frechet_distance", &[0.1, 0.7, 3.0, 20.0]);
        records.extend(cell("fully-synthetic", 1, "frechet_distance", &[0.1, 0.6, 2.0, 30.0]));
        for record in &mut records {
            record.scores.set("../odd name", Ok(0.5));
            record.scores.set("kid", Err("n < 2".into()));
        }
        let dir = tempfile::tempdir().expect("a temporary folder");
        let metrics = [info("frechet_distance", Direction::Lower)];
        let some = write_figures(&records, &metrics, dir.path()).expect("written");
        assert_eq!(some, [dir.path().join("frechet_distance.svg"), dir.path().join("frechet_distance.png")]);
        let svg = fs::read_to_string(&some[0]).expect("text");
        assert!(svg.contains("<svg") && svg.contains("fully synthetic") && svg.contains("real data"));
        let png = image::open(&some[1]).expect("a PNG");
        assert_eq!((png.width(), png.height()), SIZE);
        let first = fs::read(&some[1]).expect("bytes");
        let all = write_figures(&records, &[], dir.path()).expect("written again");
        assert_eq!(all.len(), 4);
        assert!(all[0].ends_with("___odd_name.svg"), "{all:?}");
        assert_eq!(fs::read(&some[1]).expect("bytes"), first);
        assert!(write_figures(&[], &[], dir.path()).expect("nothing to draw").is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("taken");
        fs::write(&file, "x").expect("written");
        let error = write_figures(&[], &[], &file.join("figures")).unwrap_err().to_string();
        assert!(error.contains("cannot make the folder") && error.contains("taken"), "{error}");
    }
}
