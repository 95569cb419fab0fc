//! What the same latents become in each generation, side by side: a figure of the page, and files for papers and slides.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, imageops};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{self, Area, Drawing, INK, Pen, SOFT, explain, fitted, font, pixel};
use super::gallery::rows;
use super::picture::png_size;
use super::text::escape;
use super::{Picture, RunView, settings};
use crate::store::write_atomically;
use crate::{Error, Result};

/// Pixels of a strip's height, and of the column of its name.
const HIGH: u32 = 112;
const NAMES: u32 = 96;
const GAP: u32 = 6;
const MARGIN: u32 = 28;
/// Room for a setting's label, and between settings.
const LABEL: u32 = 40;
/// A strip of more pixels than this is smooth, of fewer it keeps its pixels.
const SHARP: u32 = 48;

/// The strips of a setting, generation after generation.
struct Block<'a> {
    label: String,
    strips: Vec<&'a Picture>,
}

struct Strips<'a> {
    blocks: Vec<Block<'a>>,
    labelled: bool,
    /// Pixels of the widest strip, as drawn.
    wide: u32,
}

/// The strips of a run, of the first seed of each setting.
fn strips(run: &RunView) -> Option<Strips<'_>> {
    let settings = settings(&run.records);
    let blocks: Vec<Block<'_>> = rows(&settings, &run.latents)
        .into_iter()
        .map(|row| Block { label: row.label, strips: row.pictures.into_values().collect() })
        .collect();
    let wide = blocks.iter().flat_map(|block| &block.strips).map(|strip| drawn(strip)).max()?;
    let labelled = blocks.len() > 1;
    Some(Strips { blocks, labelled, wide })
}

/// Width of a strip that is drawn `HIGH` pixels high.
fn drawn(strip: &Picture) -> u32 {
    png_size(&strip.png).map_or(0, |(width, height)| (width * HIGH).div_ceil(height.max(1)))
}

fn name(strip: &Picture) -> String {
    format!("t = {}", strip.generation)
}

/// The strips as a figure of the page; empty where there are none.
pub(crate) fn figure(run: &RunView) -> String {
    let Some(Strips { blocks, labelled, .. }) = strips(run) else { return String::new() };
    let mut out = String::from(r#"<figure class="wide latents">"#);
    for block in blocks {
        if labelled {
            out.push_str(&format!("<h4>{}</h4>", escape(&block.label)));
        }
        for strip in block.strips {
            let high = png_size(&strip.png).map_or(0, |(_, height)| height);
            let (class, name) = (if high < SHARP { "sharp" } else { "smooth" }, name(strip));
            let data = STANDARD.encode(&strip.png);
            out.push_str(&format!(
                r#"<div class="strip"><p>{name}</p><img class="{class}" alt="the shared latents, {name}" src="data:image/png;base64,{data}"></div>"#
            ));
        }
    }
    out + "<figcaption>The same latents in every generation: each column is one of them.</figcaption></figure>"
}

/// Writes `DIR/latents.svg` and `DIR/latents.png` where there are strips; returns the files.
pub(crate) fn write(run: &RunView, dir: &Path) -> Result<Vec<PathBuf>> {
    let Some(strips) = strips(run) else { return Ok(Vec::new()) };
    let (text, pixels) = (dir.join("latents.svg"), dir.join("latents.png"));
    let failed = |path: &Path, why: String| {
        Error::bad_file(path, format!("the figure cannot be drawn: {why}"), "please report this as a bug")
    };
    write_atomically(&text, strips.svg().map_err(|why| failed(&text, why))?.as_bytes())?;
    write_atomically(&pixels, &strips.png().map_err(|why| failed(&pixels, why))?)?;
    Ok(vec![text, pixels])
}

impl Strips<'_> {
    /// Room above a block.
    fn head(&self) -> u32 {
        if self.labelled { LABEL } else { 0 }
    }

    /// Upper edge of each block, and of what would follow the last.
    fn tops(&self) -> Vec<u32> {
        let mut tops = vec![MARGIN];
        for block in &self.blocks {
            let top = tops[tops.len() - 1];
            tops.push(top + self.head() + block.strips.len() as u32 * (HIGH + GAP));
        }
        tops
    }

    /// Upper edge of each strip.
    fn places(&self) -> Vec<(u32, &Picture)> {
        let each = |(top, block): (u32, &Block<'_>)| -> Vec<u32> {
            (0..block.strips.len() as u32).map(|down| top + self.head() + down * (HIGH + GAP)).collect()
        };
        let tops = self.tops().into_iter().zip(&self.blocks).flat_map(each);
        tops.zip(self.blocks.iter().flat_map(|block| block.strips.iter().copied())).collect()
    }

    fn svg(&self) -> std::result::Result<String, String> {
        let text = canvas::svg(self)?;
        let left = MARGIN + NAMES;
        let image = |(top, strip): (u32, &Picture)| {
            let (data, wide) = (STANDARD.encode(&strip.png), drawn(strip));
            let style = if png_size(&strip.png).is_some_and(|(_, high)| high < SHARP) {
                r#" style="image-rendering:pixelated""#
            } else {
                ""
            };
            format!(
                r#"<image x="{left}" y="{top}" width="{wide}" height="{HIGH}"{style} href="data:image/png;base64,{data}"/>"#
            )
        };
        let images: String = self.places().into_iter().map(image).collect();
        Ok(text.replacen("</svg>", &format!("{images}</svg>"), 1))
    }

    fn png(&self) -> std::result::Result<Vec<u8>, String> {
        let mut whole = image::load_from_memory(&canvas::png(self)?).map_err(explain)?.to_rgb8();
        for (top, strip) in self.places() {
            let image = image::load_from_memory(&strip.png).map_err(explain)?;
            let small = image.height() < SHARP;
            let filter = if small { imageops::FilterType::Nearest } else { imageops::FilterType::Triangle };
            let image = image.resize_exact(drawn(strip), HIGH, filter).to_rgb8();
            imageops::overlay(&mut whole, &image, i64::from(MARGIN + NAMES), i64::from(top));
        }
        let mut bytes = Cursor::new(Vec::new());
        whole.write_to(&mut bytes, ImageFormat::Png).map_err(explain)?;
        Ok(bytes.into_inner())
    }
}

/// The words around the strips.
impl Drawing for Strips<'_> {
    fn size(&self) -> (u32, u32) {
        let end = self.tops().last().copied().unwrap_or(MARGIN);
        (2 * MARGIN + NAMES + self.wide, end - GAP + MARGIN)
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
        let s = pen.scale;
        let place = Pos::new(HPos::Left, VPos::Center);
        let (strong, soft) = (font(22.0, s, &INK).pos(place), font(19.0, s, &SOFT).pos(place));
        let left = f64::from(MARGIN) * s;
        for (top, block) in self.tops().into_iter().zip(&self.blocks).filter(|_| self.labelled) {
            let label = fitted(&block.label, area, &strong, f64::from(self.size().0 - 2 * MARGIN) * s)?;
            let at = pixel(left, (f64::from(top) + 14.0) * s + pen.nudge(22.0));
            area.draw_text(&label, &strong, at).map_err(explain)?;
        }
        for (top, strip) in self.places() {
            let at = pixel(left, (f64::from(top) + f64::from(HIGH) / 2.0) * s + pen.nudge(19.0));
            area.draw_text(&name(strip), &soft, at).map_err(explain)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use madloop_core::{Samples, Shape};

    use super::*;
    use crate::report::picture::strip;
    use crate::report::testing::cell;

    #[test]
    fn strips_of_all_generations_stand_below_each_other() {
        let shape = Shape::Image { channels: 3, height: 4, width: 4 };
        let png = strip(&Samples::from_u8(shape, vec![9; 5 * 48]).expect("five images")).expect("images");
        assert_eq!(png_size(&png), Some((5 * 5 - 1, 4)));
        let picture = |generation| Picture { cell: "fully-synthetic-s0".into(), generation, png: png.clone() };
        let run = RunView {
            records: cell("fully-synthetic", 0, "recall", &[0.5, 0.4, 0.3]),
            latents: (1..4).map(picture).collect(),
            ..RunView::default()
        };
        let page = figure(&run);
        assert_eq!(page.matches("<img").count(), 3);
        assert!(page.contains("t = 3") && page.contains("each column"));
        let folder = tempfile::tempdir().expect("a folder");
        let files = write(&run, folder.path()).expect("drawn");
        let image = image::open(&files[1]).expect("a PNG").to_rgb8();
        assert_eq!(image.width(), 2 * MARGIN + NAMES + 24 * HIGH / 4);
        assert_eq!(image.height(), 2 * MARGIN + 3 * (HIGH + GAP) - GAP);
        // The first pixel of the second strip.
        assert_eq!(image.get_pixel(MARGIN + NAMES + 2, MARGIN + HIGH + GAP + 2).0, [9; 3]);
        assert!(figure(&RunView::default()).is_empty());
        assert!(write(&RunView::default(), folder.path()).expect("nothing to draw").is_empty());
    }
}
