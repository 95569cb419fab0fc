//! What all figures are drawn with: one font, SVG text and smoothed bitmaps of one size, lines with dashes.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use image::{ImageFormat, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use super::plot::{COLOURS, PALETTE, dashes};
use crate::store::write_atomically;
use crate::{Error, Result};

/// DejaVu Sans, cut down; its licence is beside it.
static FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
/// The bitmap is drawn this many times larger and scaled down: the bitmap backend does not smooth edges.
const OVERSAMPLE: u32 = 3;
pub(super) static INK: RGBColor = RGBColor(30, 34, 40);
pub(super) static SOFT: RGBColor = RGBColor(96, 102, 112);
pub(super) const GRID: RGBColor = RGBColor(228, 230, 234);

pub(crate) type Area<'a, B> = DrawingArea<B, Shift>;

/// Letters that a file name may have anywhere.
fn plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

/// What can be drawn, as text and as pixels.
pub(crate) trait Drawing {
    /// Width and height in units of the figure.
    fn size(&self) -> (u32, u32);
    /// Draws it; a unit of the figure is `pen.scale` pixels.
    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String>;
}

/// Writes `DIR/STEM.svg` and `DIR/STEM.png`; characters of the stem that a file name may not have anywhere become `_`.
pub(crate) fn write(drawing: &impl Drawing, dir: &Path, stem: &str) -> Result<[PathBuf; 2]> {
    let stem: String = stem.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let (text, pixels) = (dir.join(format!("{stem}.svg")), dir.join(format!("{stem}.png")));
    write_atomically(&text, svg(drawing).map_err(failed(&text))?.as_ref())?;
    write_atomically(&pixels, png(drawing).map_err(failed(&pixels))?.as_ref())?;
    Ok([text, pixels])
}

/// The drawing as SVG.
pub(super) fn svg(drawing: &impl Drawing) -> std::result::Result<String, String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, drawing.size()).into_drawing_area();
        start(drawing, &area, Pen { scale: 1.0, bitmap: false })?;
    }
    Ok(text)
}

/// The drawing as PNG.
pub(super) fn png(drawing: &impl Drawing) -> std::result::Result<Vec<u8>, String> {
    let size = drawing.size();
    let (width, height) = (size.0 * OVERSAMPLE, size.1 * OVERSAMPLE);
    let mut pixels = vec![255u8; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        start(drawing, &area, Pen { scale: f64::from(OVERSAMPLE), bitmap: true })?;
    }
    let large = RgbImage::from_raw(width, height, pixels).unwrap_or_default();
    let small = imageops::thumbnail(&large, size.0, size.1);
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, ImageFormat::Png).map_err(explain)?;
    Ok(bytes.into_inner())
}

fn start<B: DrawingBackend>(drawing: &impl Drawing, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
    font_ready()?;
    area.fill(&WHITE).map_err(explain)?;
    drawing.draw(area, pen)?;
    area.present().map_err(explain)
}

fn failed(path: &Path) -> impl Fn(String) -> Error {
    let path = path.to_owned();
    move |why| Error::bad_file(&path, format!("the figure cannot be drawn: {why}"), "please report this as a bug")
}

pub(super) fn explain(error: impl std::fmt::Display) -> String {
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
pub(crate) struct Pen {
    /// Pixels of the drawing for one of the figure.
    pub(super) scale: f64,
    /// Whether it is the bitmap backend.
    pub(super) bitmap: bool,
}

impl Pen {
    /// What a vertically centred text of a size is moved down by: the bitmap backend centres it too high.
    pub(super) fn nudge(self, size: f64) -> f64 {
        if self.bitmap { 0.16 * size * self.scale } else { 0.0 }
    }
}

pub(super) fn font(size: f64, scale: f64, colour: &'static RGBColor) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size * scale).into_font()).color(colour)
}

/// The text, cut to a width.
pub(super) fn fitted<B: DrawingBackend>(
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

pub(super) fn colour(style: usize) -> RGBColor {
    let (r, g, b) = PALETTE[style % COLOURS];
    RGBColor(r, g, b)
}

pub(super) fn pixel(x: f64, y: f64) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

pub(super) fn width(size: f64) -> u32 {
    size.round().max(1.0) as u32
}

/// A line in a setting's colour and dashes.
pub(super) fn stroke<B: DrawingBackend>(
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
pub(super) fn dashed<B: DrawingBackend>(
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
