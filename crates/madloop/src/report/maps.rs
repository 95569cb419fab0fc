//! Maps of generations beside real samples: rows of panels, a row a setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use madloop_core::{Map, Points, Record};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::{self, Area, Drawing, GRID, INK, Pen, SOFT, explain, fitted, font, pixel, width};
use super::plot::evenly;
use super::{MapView, Setting, settings};
use crate::Result;

/// Panels of a row at most, evenly chosen.
const ACROSS: usize = 5;
/// Settings that have a row.
const DOWN: usize = 6;
const WIDTH: f64 = 1200.0;
const EDGE: f64 = 24.0;
const GAP: f64 = 14.0;
/// Room for the heading and the legend.
const TOP: f64 = 84.0;
/// Room for a setting's name and the names of its panels.
const HEAD: f64 = 62.0;
/// Real samples.
const REAL: RGBColor = RGBColor(200, 204, 210);
/// Classes in turn: ten colours that differ in lightness as well as in hue.
const CLASSES: [RGBColor; 10] = [
    RGBColor(0, 104, 168),
    RGBColor(200, 80, 0),
    RGBColor(0, 140, 104),
    RGBColor(176, 36, 52),
    RGBColor(124, 84, 168),
    RGBColor(122, 78, 50),
    RGBColor(214, 98, 140),
    RGBColor(58, 64, 74),
    RGBColor(158, 140, 0),
    RGBColor(44, 172, 204),
];

/// The figure of all maps of a run.
struct Maps<'a> {
    rows: Vec<Row<'a>>,
    /// Classes that occur, in order.
    classes: Vec<u32>,
    /// Panels of the longest row.
    across: usize,
}

struct Row<'a> {
    label: String,
    panels: Vec<(u32, &'a Map)>,
    /// Half the side of its panels, about 0, in units of the maps: one for all, so that they can be compared.
    reach: f64,
}

/// Writes `DIR/maps.svg` and `DIR/maps.png` when there are maps; returns the files.
#[expect(clippy::disallowed_methods, reason = "figures are files")]
pub fn write_maps(records: &[Record], maps: &[MapView], dir: &Path) -> Result<Vec<PathBuf>> {
    let Some(figure) = Maps::new(&settings(records), maps) else { return Ok(Vec::new()) };
    const REMEDY: &str = "check that the folder can be written and the disk is not full";
    std::fs::create_dir_all(dir).map_err(crate::Error::io("make the folder", dir, REMEDY))?;
    Ok(canvas::write(&figure, dir, "maps")?.into())
}

/// The maps as a figure of the page; empty when there are none.
pub(crate) fn page(settings: &[Setting<'_>], maps: &[MapView]) -> String {
    let Some(figure) = Maps::new(settings, maps) else { return String::new() };
    let Ok(png) = canvas::png(&figure) else { return String::new() };
    let data = STANDARD.encode(png);
    format!(
        r#"<figure class="wide"><figcaption><p>{}</p></figcaption><img class="sweep" alt="{}" src="data:image/png;base64,{data}"></figure>"#,
        "Each panel is a t-SNE map of a generation's samples together with real ones, of the features that are scored. Near samples \
         stay near; distances between groups and the sizes of groups mean little. One seed a setting is shown.",
        "t-SNE maps of generations beside real samples",
    )
}

impl<'a> Maps<'a> {
    fn new(settings: &[Setting<'_>], maps: &'a [MapView]) -> Option<Self> {
        let mut cells: BTreeMap<&str, BTreeMap<u32, &Map>> = BTreeMap::new();
        for one in maps {
            cells.entry(&one.cell).or_default().insert(one.generation, &one.map);
        }
        let row = |setting: &Setting<'_>| {
            let own = setting.cells.iter().find_map(|cell| cells.get(cell.name))?;
            let generations: Vec<u32> = own.keys().copied().collect();
            let panels: Vec<(u32, &Map)> = evenly(&generations, ACROSS).into_iter().map(|t| (t, own[&t])).collect();
            let points = panels.iter().flat_map(|(_, map)| [&map.real, &map.generated]);
            let farthest =
                points.flat_map(|points| points.x.iter().chain(&points.y)).fold(0.0_f32, |a, b| a.max(b.abs()));
            Some(Row { label: setting.label.clone(), panels, reach: 1.04 * f64::from(farthest).max(1e-3) })
        };
        let rows: Vec<Row<'_>> = settings.iter().filter_map(row).take(DOWN).collect();
        let across = rows.iter().map(|row| row.panels.len()).max()?;
        let generated = rows.iter().flat_map(|row| &row.panels).flat_map(|(_, map)| &map.generated.labels);
        let mut classes: Vec<u32> = generated.copied().collect();
        classes.sort_unstable();
        classes.dedup();
        Some(Self { rows, classes, across })
    }

    /// Side of a panel, in units of the figure.
    fn side(&self) -> f64 {
        let across = self.across.max(3) as f64;
        (WIDTH - 2.0 * EDGE - GAP * (across - 1.0)) / across
    }

    fn colour(&self, class: Option<&u32>) -> RGBColor {
        let place = class.and_then(|class| self.classes.iter().position(|known| known == class));
        CLASSES[place.unwrap_or(0) % CLASSES.len()]
    }

    fn legend<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
        let s = pen.scale;
        let style = font(17.0, s, &SOFT).pos(Pos::new(HPos::Left, VPos::Center));
        let shown = if self.classes.len() > CLASSES.len() { &[][..] } else { &self.classes[..] };
        let mut entries = vec![("real".to_owned(), REAL)];
        match shown {
            [] => entries.push(("generated".into(), CLASSES[0])),
            classes => {
                let entry = |class: &u32| (format!("generated, class {class}"), self.colour(Some(class)));
                entries.extend(classes.iter().map(entry));
                // One long name says it for all.
                entries[2..].iter_mut().for_each(|(name, _)| *name = name.replace("generated, class ", ""));
            }
        }
        let mut x = EDGE * s;
        let y = 60.0 * s;
        for (name, colour) in entries {
            area.draw(&Circle::new(pixel(x + 6.0 * s, y), width(6.0 * s) as i32, colour.filled())).map_err(explain)?;
            area.draw_text(&name, &style, pixel(x + 18.0 * s, y + pen.nudge(17.0))).map_err(explain)?;
            x += 18.0 * s + f64::from(area.estimate_text_size(&name, &style).map_err(explain)?.0) + 22.0 * s;
        }
        Ok(())
    }
}

impl Drawing for Maps<'_> {
    fn size(&self) -> (u32, u32) {
        let rows = self.rows.len() as f64;
        (WIDTH as u32, (TOP + rows * (HEAD + self.side()) + EDGE).round() as u32)
    }

    fn draw<B: DrawingBackend>(&self, area: &Area<'_, B>, pen: Pen) -> std::result::Result<(), String> {
        let s = pen.scale;
        let heading = font(26.0, s, &INK).pos(Pos::new(HPos::Left, VPos::Center));
        let title = "t-SNE maps of generations beside real samples";
        area.draw_text(title, &heading, pixel(EDGE * s, 26.0 * s + pen.nudge(26.0))).map_err(explain)?;
        self.legend(area, pen)?;
        let side = self.side();
        for (i, row) in self.rows.iter().enumerate() {
            let top = TOP + i as f64 * (HEAD + side);
            let name = font(20.0, s, &INK).pos(Pos::new(HPos::Left, VPos::Center));
            let label = fitted(&row.label, area, &name, (WIDTH - 2.0 * EDGE) * s)?;
            area.draw_text(&label, &name, pixel(EDGE * s, (top + 18.0) * s + pen.nudge(20.0))).map_err(explain)?;
            for (j, (t, map)) in row.panels.iter().enumerate() {
                let left = EDGE + j as f64 * (side + GAP);
                let below = font(17.0, s, &SOFT).pos(Pos::new(HPos::Left, VPos::Center));
                let name = if *t == 0 { "held-out real data".into() } else { format!("generation {t}") };
                area.draw_text(&name, &below, pixel(left * s, (top + 46.0) * s + pen.nudge(17.0))).map_err(explain)?;
                self.panel(area, pen, (left, top + HEAD), row.reach, map)?;
            }
        }
        Ok(())
    }
}

impl Maps<'_> {
    fn panel<B: DrawingBackend>(
        &self,
        area: &Area<'_, B>,
        pen: Pen,
        (left, top): (f64, f64),
        reach: f64,
        map: &Map,
    ) -> std::result::Result<(), String> {
        let (s, side) = (pen.scale, self.side());
        let corners = [pixel(left * s, top * s), pixel((left + side) * s, (top + side) * s)];
        area.draw(&Rectangle::new(corners, GRID.stroke_width(width(1.5 * s)))).map_err(explain)?;
        let at = |value: f32| (f64::from(value) / reach + 1.0) / 2.0 * side;
        let dots = |points: &Points, radius: f64, colour: &dyn Fn(usize) -> RGBColor| {
            for (i, (&x, &y)) in points.x.iter().zip(&points.y).enumerate() {
                let centre = pixel((left + at(x)) * s, (top + side - at(y)) * s);
                area.draw(&Circle::new(centre, width(radius * s) as i32, colour(i).filled())).map_err(explain)?;
            }
            Ok(())
        };
        dots(&map.real, 2.0, &|_| REAL)?;
        dots(&map.generated, 1.7, &|i| self.colour(map.generated.labels.get(i)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::cell;

    fn map(n: usize, labels: bool) -> Map {
        let places: Vec<[f64; 2]> = (0..n).map(|i| [(i as f64).cos() * 9.0, (i as f64).sin() * 9.0]).collect();
        let classes: Vec<u32> = (0..n as u32).map(|i| i % 10).collect();
        let points = Points::new(&places, labels.then_some(classes.as_slice()));
        Map { real: points.clone(), generated: points }
    }

    #[test]
    fn maps_are_drawn_a_row_a_setting() {
        let mut records = cell("fully-synthetic", 0, "recall", &[0.5, 0.4]);
        records.extend(cell("fresh-data", 0, "recall", &[0.5, 0.4]));
        let all: Vec<MapView> = ["fully-synthetic-s0", "fresh-data-s0", "gone"]
            .iter()
            .flat_map(|cell| {
                (0..8).map(|generation| MapView { cell: (*cell).into(), generation, map: map(30, *cell != "gone") })
            })
            .collect();
        let settings = settings(&records);
        let figure = Maps::new(&settings, &all).expect("maps");
        assert_eq!((figure.rows.len(), figure.across, figure.classes.len()), (2, ACROSS, 10));
        assert!((figure.rows[0].reach - 1.04 * 9.0).abs() < 0.01);
        let svg = canvas::svg(&figure).expect("drawn");
        assert!(svg.contains("held-out real data") && svg.contains("generation 7") && !svg.contains("generation 3"));
        assert_eq!(svg.matches("<circle").count(), 2 * ACROSS * 60 + 11);
        assert!(page(&settings, &all).contains("data:image/png;base64,"));
        let dir = tempfile::tempdir().expect("a temporary folder");
        let files = write_maps(&records, &all, dir.path()).expect("written");
        assert_eq!(files, [dir.path().join("maps.svg"), dir.path().join("maps.png")]);
        assert!(page(&settings, &[]).is_empty() && write_maps(&records, &[], dir.path()).expect("nothing").is_empty());
    }
}
