//! Pictures of every generation side by side.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::picture::png_size;
use super::plot::{COLOURS, evenly};
use super::text::escape;
use super::{Picture, Setting};

/// Generations shown at most.
const COLUMNS: usize = 14;
/// Small pictures are enlarged by a whole factor up to this width, large ones are scaled down to it.
const WIDTH: u32 = 220;

/// The pictures of a setting.
pub(super) struct Row<'a> {
    pub(super) label: String,
    style: Option<usize>,
    pub(super) pictures: BTreeMap<u32, &'a Picture>,
}

/// The pictures, a row a setting; empty when there are none.
pub(crate) fn gallery(settings: &[Setting<'_>], pictures: &[Picture]) -> String {
    let rows = rows(settings, pictures);
    let mut generations: Vec<u32> = rows.iter().flat_map(|row| row.pictures.keys().copied()).collect();
    generations.sort_unstable();
    generations.dedup();
    let total = generations.len();
    let generations = evenly(&generations, COLUMNS);
    if generations.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        r#"<div class="film" tabindex="0" role="region" aria-label="samples by generation"><table><thead><tr><td></td>"#,
    );
    for generation in &generations {
        let name = if *generation == 0 { "real data".into() } else { format!("generation {generation}") };
        out.push_str(&format!(r#"<th scope="col">{name}</th>"#));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &rows {
        let class =
            row.style.map_or(String::new(), |style| format!(r#" class="c{}" data-s="{style}""#, style % COLOURS));
        out.push_str(&format!(r#"<tr{class}><th scope="row"><span>{}</span></th>"#, escape(&row.label)));
        for generation in &generations {
            match row.pictures.get(generation) {
                None => out.push_str(r#"<td class="none">no picture</td>"#),
                Some(picture) => out.push_str(&format!("<td>{}</td>", image(picture, &row.label))),
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if total > generations.len() {
        out.push_str(&format!(r#"<p class="fine">{} of {total} generations are shown.</p>"#, generations.len()));
    }
    out
}

/// A row for the first seed that has pictures of each setting, then one for each cell that has no records.
pub(super) fn rows<'a>(settings: &[Setting<'_>], pictures: &'a [Picture]) -> Vec<Row<'a>> {
    let mut cells: BTreeMap<&str, BTreeMap<u32, &'a Picture>> = BTreeMap::new();
    for picture in pictures.iter().filter(|picture| png_size(&picture.png).is_some()) {
        cells.entry(&picture.cell).or_default().insert(picture.generation, picture);
    }
    let mut rows = Vec::new();
    for setting in settings {
        let mut taken = false;
        for cell in &setting.cells {
            if let Some(pictures) = cells.remove(cell.name)
                && !std::mem::replace(&mut taken, true)
            {
                rows.push(Row { label: setting.label.clone(), style: Some(setting.style), pictures });
            }
        }
    }
    rows.extend(cells.into_iter().map(|(cell, pictures)| Row { label: cell.to_owned(), style: None, pictures }));
    rows
}

fn image(picture: &Picture, label: &str) -> String {
    let (width, height) = png_size(&picture.png).unwrap_or((1, 1));
    let (shown, class) =
        if width <= WIDTH { (width * (WIDTH / width), "sharp") } else { (WIDTH.max(width.min(300)), "smooth") };
    let tall = u64::from(shown) * u64::from(height) / u64::from(width);
    let what = if picture.generation == 0 {
        "real samples".into()
    } else {
        format!("samples of generation {}, {}", picture.generation, escape(label))
    };
    let data = STANDARD.encode(&picture.png);
    format!(
        r#"<img class="{class}" width="{shown}" height="{}" alt="{what}" src="data:image/png;base64,{data}">"#,
        tall.max(1)
    )
}

#[cfg(test)]
mod tests {
    use madloop_core::{Samples, Shape};

    use super::*;
    use crate::report::testing::cell;
    use crate::report::{picture, settings};

    #[test]
    fn the_first_seed_of_each_setting_is_shown() {
        let mut records = cell("fresh-data", 3, "recall", &[0.5, 0.4]);
        records.extend(cell("fresh-data", 1, "recall", &[0.5, 0.4]));
        let shape = Shape::Image { channels: 1, height: 2, width: 2 };
        let png = picture(&Samples::from_u8(shape, vec![7; 16]).expect("four rows"), None).expect("images");
        let all: Vec<Picture> = ["fresh-data-s1", "fresh-data-s3", "gone"]
            .iter()
            .flat_map(|cell| (0..20).map(|generation| Picture { cell: (*cell).into(), generation, png: png.clone() }))
            .collect();
        let html = gallery(&settings(&records), &all);
        assert_eq!(html.matches("<img").count(), 2 * COLUMNS);
        assert_eq!(html.matches("<th scope=\"row\">").count(), 2);
        assert!(html.contains("real data") && html.contains("generation 19") && html.contains("14 of 20"));
        assert_eq!(gallery(&settings(&records), &[]), "");
        let broken = [Picture { cell: "x".into(), generation: 0, png: vec![1, 2] }];
        assert_eq!(gallery(&settings(&records), &broken), "");
    }
}
