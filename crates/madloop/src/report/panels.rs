//! Samples of chosen generations side by side: a figure of the page, and a file for papers and slides.

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

/// Pixels a side of a panel.
const SIDE: u32 = 320;
const GAP: u32 = 24;
const MARGIN: u32 = 28;
/// Room above a row for the generations' names, and for its label.
const NAMES: u32 = 32;
const LABEL: u32 = 34;

/// A setting's panels.
struct Row<'a> {
    label: String,
    panels: Vec<(String, &'a Picture)>,
}

struct Panels<'a> {
    rows: Vec<Row<'a>>,
    /// Whether rows need their labels.
    labelled: bool,
}

/// The panels that a run asks for, of the first seed of each setting.
fn panels(run: &RunView) -> Option<Panels<'_>> {
    let asked = &run.report.samples;
    let settings = settings(&run.records);
    let all = if asked.is_empty() { Vec::new() } else { rows(&settings, &run.pictures) };
    let rows: Vec<Row<'_>> = all
        .into_iter()
        .map(|row| {
            let shown = std::iter::once(&0).chain(asked.iter().filter(|t| **t > 0));
            let name = |t: u32| if t == 0 { "real data".to_owned() } else { format!("t = {t}") };
            let panels = shown.filter_map(|t| Some((name(*t), *row.pictures.get(t)?))).collect();
            Row { label: row.label, panels }
        })
        .filter(|row: &Row<'_>| row.panels.iter().any(|(_, picture)| picture.generation > 0))
        .collect();
    let labelled = rows.len() > 1;
    (!rows.is_empty()).then_some(Panels { rows, labelled })
}

/// The panels as a figure of the page; empty where none are asked for.
pub(crate) fn figure(run: &RunView) -> String {
    let Some(Panels { rows, labelled }) = panels(run) else { return String::new() };
    let mut out = String::from(r#"<figure class="wide panels">"#);
    for row in rows {
        if labelled {
            out.push_str(&format!("<h4>{}</h4>", escape(&row.label)));
        }
        out.push_str(r#"<div class="row">"#);
        for (name, picture) in row.panels {
            let data = STANDARD.encode(&picture.png);
            let class = if png_size(&picture.png).is_some_and(|(width, _)| width < SIDE) { "sharp" } else { "smooth" };
            out.push_str(&format!(
                r#"<div><p>{name}</p><img class="{class}" alt="samples, {name}" src="data:image/png;base64,{data}"></div>"#
            ));
        }
        out.push_str("</div>");
    }
    out + "</figure>"
}

/// Writes `DIR/samples.svg` and `DIR/samples.png` where panels are asked for; returns the files.
pub(crate) fn write(run: &RunView, dir: &Path) -> Result<Vec<PathBuf>> {
    let Some(panels) = panels(run) else { return Ok(Vec::new()) };
    let (text, pixels) = (dir.join("samples.svg"), dir.join("samples.png"));
    let failed = |path: &Path, why: String| {
        Error::bad_file(path, format!("the figure cannot be drawn: {why}"), "please report this as a bug")
    };
    write_atomically(&text, panels.svg().map_err(|why| failed(&text, why))?.as_bytes())?;
    write_atomically(&pixels, &panels.png().map_err(|why| failed(&pixels, why))?)?;
    Ok(vec![text, pixels])
}

impl Panels<'_> {
    /// Room above a row's pictures.
    fn head(&self) -> u32 {
        NAMES + if self.labelled { LABEL } else { 0 }
    }

    /// Upper edge of a row.
    fn top(&self, down: usize) -> u32 {
        MARGIN + down as u32 * (self.head() + SIDE + GAP)
    }

    /// Left and upper edge of each panel, with its picture.
    fn places(&self) -> impl Iterator<Item = (u32, u32, &Picture)> {
        self.rows.iter().enumerate().flat_map(|(down, row)| {
            let top = self.top(down) + self.head();
            let left = |across: usize| MARGIN + across as u32 * (SIDE + GAP);
            row.panels.iter().enumerate().map(move |(across, (_, picture))| (left(across), top, *picture))
        })
    }

    fn svg(&self) -> std::result::Result<String, String> {
        let text = canvas::svg(self)?;
        let images: String = self
            .places()
            .map(|(left, top, picture)| {
                let data = STANDARD.encode(&picture.png);
                format!(r#"<image x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" href="data:image/png;base64,{data}"/>"#)
            })
            .collect();
        Ok(text.replacen("</svg>", &format!("{images}</svg>"), 1))
    }

    fn png(&self) -> std::result::Result<Vec<u8>, String> {
        let mut whole = image::load_from_memory(&canvas::png(self)?).map_err(explain)?.to_rgb8();
        for (left, top, picture) in self.places() {
            let panel = image::load_from_memory(&picture.png).map_err(explain)?;
            // Small images keep their pixels, large ones are smoothed.
            let filter =
                if panel.width() < SIDE { imageops::FilterType::Nearest } else { imageops::FilterType::Triangle };
            let panel = panel.resize(SIDE, SIDE, filter).to_rgb8();
            let (right, down) = ((SIDE - panel.width()) / 2, (SIDE - panel.height()) / 2);
            imageops::overlay(&mut whole, &panel, i64::from(left + right), i64::from(top + down));
        }
        let mut bytes = Cursor::new(Vec::new());
        whole.write_to(&mut bytes, ImageFormat::Png).map_err(explain)?;
        Ok(bytes.into_inner())
    }
}

/// The words around the pictures.
impl Drawing for Panels<'_> {
    fn size(&self) -> (u32, u32) {
        let across = self.rows.iter().map(|row| row.panels.len()).max().unwrap_or(1) as u32;
        (2 * MARGIN + across * (SIDE + GAP) - GAP, self.top(self.rows.len()) - GAP + MARGIN)
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
        let s = pen.scale;
        let place = Pos::new(HPos::Left, VPos::Center);
        let (strong, soft) = (font(22.0, s, &INK).pos(place), font(19.0, s, &SOFT).pos(place));
        for (down, row) in self.rows.iter().enumerate() {
            let top = f64::from(self.top(down));
            if self.labelled {
                let wide = f64::from(self.size().0 - 2 * MARGIN) * s;
                let label = fitted(&row.label, area, &strong, wide)?;
                let at = pixel(f64::from(MARGIN) * s, (top + 12.0) * s + pen.nudge(22.0));
                area.draw_text(&label, &strong, at).map_err(explain)?;
            }
            for (across, (name, _)) in row.panels.iter().enumerate() {
                let left = f64::from(MARGIN + across as u32 * (SIDE + GAP));
                let at = pixel(left * s, (top + f64::from(self.head()) - 16.0) * s + pen.nudge(19.0));
                area.draw_text(name, &soft, at).map_err(explain)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use madloop_core::{Samples, Shape};

    use super::*;
    use crate::config::ReportConfig;
    use crate::report::picture;
    use crate::report::testing::cell;

    #[test]
    fn chosen_generations_stand_side_by_side() {
        let shape = Shape::Image { channels: 1, height: 4, width: 4 };
        let png = picture(&Samples::from_u8(shape, vec![9; 64]).expect("four rows"), None).expect("images");
        let picture = |generation| Picture { cell: "fully-synthetic-s0".into(), generation, png: png.clone() };
        let run = |samples: &[u32]| RunView {
            records: cell("fully-synthetic", 0, "recall", &[0.5, 0.4, 0.3]),
            pictures: (0..4).map(picture).collect(),
            report: ReportConfig { samples: samples.to_vec(), ..ReportConfig::default() },
            ..RunView::default()
        };
        let page = figure(&run(&[1, 3, 2000]));
        assert_eq!(page.matches("<img").count(), 3);
        assert!(page.contains("real data") && page.contains("t = 3") && !page.contains("2000"));
        let folder = tempfile::tempdir().expect("a folder");
        let files = write(&run(&[1, 3]), folder.path()).expect("drawn");
        let image = image::open(&files[1]).expect("a PNG");
        assert_eq!(image.width(), 2 * MARGIN + 3 * SIDE + 2 * GAP);
        // The picture is 19 x 4 pixels, so that its first sample's third column is 2.5 / 19 of a panel from its edge.
        assert_eq!(image.to_rgb8().get_pixel(MARGIN + SIDE * 5 / 38, MARGIN + NAMES + SIDE / 2).0[0], 9);
        for none in [run(&[]), run(&[2000])] {
            assert!(figure(&none).is_empty());
            assert!(write(&none, folder.path()).expect("nothing to draw").is_empty());
        }
    }
}
