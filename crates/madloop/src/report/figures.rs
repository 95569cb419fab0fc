//! The charts as files: SVG and PNG for papers and slides.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::{ImageFormat, RgbImage, imageops};
use madloop_core::Record;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, register_font};

use super::plot::{COLOURS, PALETTE, Plot, dashes, plot};
use super::{MetricInfo, series, view};
use crate::store::write_atomically;
use crate::{Error, Result};

/// DejaVu Sans, cut down; its licence is beside it.
static FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
const SIZE: (u32, u32) = (1200, 800);
/// The bitmap is drawn this many times larger and scaled down: the bitmap backend does not smooth edges.
const OVERSAMPLE: u32 = 3;
/// Generations drawn at most, evenly chosen.
const GENERATIONS: usize = 400;
static INK: RGBColor = RGBColor(30, 34, 40);
static SOFT: RGBColor = RGBColor(96, 102, 112);
const GRID: RGBColor = RGBColor(228, 230, 234);

type Area<'a, B> = DrawingArea<B, Shift>;

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
        let stem: String = plot.metric.name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
        let (svg, png) = (dir.join(format!("{stem}.svg")), dir.join(format!("{stem}.png")));
        write_atomically(&svg, draw_svg(&plot, &svg)?.as_ref())?;
        write_atomically(&png, draw_png(&plot, &png)?.as_ref())?;
        files.extend([svg, png]);
    }
    Ok(files)
}

/// Letters that a file name may have anywhere.
fn plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

fn draw_svg(plot: &Plot, path: &Path) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        draw(plot, &area, Pen { scale: 1.0, bitmap: false })
            .and_then(|()| area.present().map_err(explain))
            .map_err(failed(path))?;
    }
    Ok(text)
}

fn draw_png(plot: &Plot, path: &Path) -> Result<Vec<u8>> {
    let (width, height) = (SIZE.0 * OVERSAMPLE, SIZE.1 * OVERSAMPLE);
    let mut pixels = vec![255u8; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let pen = Pen { scale: f64::from(OVERSAMPLE), bitmap: true };
        draw(plot, &area, pen).and_then(|()| area.present().map_err(explain)).map_err(failed(path))?;
    }
    let large = RgbImage::from_raw(width, height, pixels).unwrap_or_default();
    let small = imageops::thumbnail(&large, SIZE.0, SIZE.1);
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, ImageFormat::Png).map_err(|e| failed(path)(e.to_string()))?;
    Ok(bytes.into_inner())
}

fn failed(path: &Path) -> impl Fn(String) -> Error {
    let path = path.to_owned();
    move |why| Error::bad_file(&path, format!("the figure cannot be drawn: {why}"), "please report this as a bug")
}

fn explain(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Registers the embedded font as `sans-serif`: an SVG's viewer uses its own, a bitmap this one.
fn font_ready() -> std::result::Result<(), String> {
    static READY: OnceLock<bool> = OnceLock::new();
    let ready = READY.get_or_init(|| register_font("sans-serif", FontStyle::Normal, FONT).is_ok());
    if *ready { Ok(()) } else { Err("the embedded font is damaged".into()) }
}

/// How a backend draws.
#[derive(Clone, Copy)]
struct Pen {
    /// Pixels of the drawing for one of the figure.
    scale: f64,
    /// Whether it is the bitmap backend.
    bitmap: bool,
}

impl Pen {
    /// What a vertically centred text of a size is moved down by: the bitmap backend centres it too high.
    fn nudge(self, size: f64) -> f64 {
        if self.bitmap { 0.16 * size * self.scale } else { 0.0 }
    }
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

fn draw<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
    font_ready()?;
    area.fill(&WHITE).map_err(explain)?;
    let scale = pen.scale;
    let legend = legend(plot, area, pen)?;
    let (width, height) = (f64::from(SIZE.0) * scale, f64::from(SIZE.1) * scale);
    let frame = Frame {
        plot,
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

fn font(size: f64, scale: f64, colour: &'static RGBColor) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size * scale).into_font()).color(colour)
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

/// The text, cut to a width.
fn fitted<B: DrawingBackend>(
    text: &str,
    area: &Area<'_, B>,
    style: &TextStyle<'_>,
    width: f64,
) -> std::result::Result<String, String> {
    let mut text = text.to_owned();
    while f64::from(area.estimate_text_size(&text, style).map_err(explain)?.0) > width && text.chars().count() > 8 {
        let kept = text.chars().count() * 9 / 10 - 1;
        text = text.chars().take(kept).chain(['…']).collect();
    }
    Ok(text)
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

fn colour(style: usize) -> RGBColor {
    let (r, g, b) = PALETTE[style % COLOURS];
    RGBColor(r, g, b)
}

fn pixel(x: f64, y: f64) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

fn width(size: f64) -> u32 {
    size.round().max(1.0) as u32
}

/// A line in a setting's colour and dashes.
fn stroke<B: DrawingBackend>(
    area: &Area<'_, B>,
    points: &[(f64, f64)],
    style: usize,
    size: f64,
    pen: Pen,
) -> std::result::Result<(), String> {
    let size = size * pen.scale;
    let paint = colour(style).stroke_width(width(size));
    let pattern: Vec<f64> = dashes(style).iter().map(|length| length * 1.8 * pen.scale).collect();
    if pattern.is_empty() && pen.bitmap {
        // Piece by piece with round joints: the bitmap backend's own joints are spikes where a line turns sharply.
        for ends in points.windows(2) {
            let path = [pixel(ends[0].0, ends[0].1), pixel(ends[1].0, ends[1].1)];
            area.draw(&PathElement::new(path, paint)).map_err(explain)?;
            let joint = Circle::new(path[1], width(size / 2.0) as i32, colour(style).filled());
            area.draw(&joint).map_err(explain)?;
        }
        return Ok(());
    }
    if pattern.is_empty() {
        let path: Vec<_> = points.iter().map(|(x, y)| pixel(*x, *y)).collect();
        return area.draw(&PathElement::new(path, paint)).map_err(explain);
    }
    dashed(area, points, &pattern, paint)
}

/// Draws a path in strokes and gaps of the given lengths.
fn dashed<B: DrawingBackend>(
    area: &Area<'_, B>,
    points: &[(f64, f64)],
    pattern: &[f64],
    paint: ShapeStyle,
) -> std::result::Result<(), String> {
    let (mut at, mut left) = (0, pattern[0]);
    let mut piece: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
    let flush = |piece: &[(f64, f64)], at: usize| {
        let drawn = at.is_multiple_of(2);
        for ends in piece.windows(2).filter(|_| drawn) {
            let path = [pixel(ends[0].0, ends[0].1), pixel(ends[1].0, ends[1].1)];
            area.draw(&PathElement::new(path, paint)).map_err(explain)?;
        }
        Ok(())
    };
    for ends in points.windows(2) {
        let (mut from, to) = (ends[0], ends[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            if length <= left {
                left -= length;
                piece.push(to);
                break;
            }
            let share = left / length;
            from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            piece.push(from);
            flush(&piece, at)?;
            piece = vec![from];
            at += 1;
            left = pattern[at % pattern.len()];
        }
    }
    flush(&piece, at)
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
