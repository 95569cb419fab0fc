//! Pictures of samples: grids of images, scatter plots of points.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use madloop_core::{Generator, Samples, Shape};

use super::density::Scene;

/// The window of a scatter plot; pass the same for all generations so that they can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Least and greatest first coordinate.
    pub x: (f64, f64),
    /// Least and greatest second coordinate.
    pub y: (f64, f64),
}

/// Images a side of a grid.
const GRID: usize = 10;
/// Pixels that a grid of large images may take a side.
const GRID_PIXELS: usize = 660;
/// Pixels a side of a scatter plot.
const SCATTER: usize = 320;
/// White lines between a scatter plot and a heat map.
const GAP: usize = 6;
/// Points of a scatter plot.
const POINTS: usize = 5000;

/// A PNG of the samples, the same bytes for the same samples: a grid of up to 10 x 10 images (one row a class when they are
/// labelled; fewer when they are large), or a scatter plot of up to 5000 points of the plane. `None` for other shapes and
/// empty sets. `bounds` is the scatter plot's window, by default [`bounds`] of the samples.
pub fn picture(samples: &Samples, window: Option<Bounds>) -> Option<Vec<u8>> {
    match samples.shape() {
        _ if samples.is_empty() => None,
        Shape::Image { channels: channels @ (1 | 3), height, width } => grid(samples, channels, height, width),
        Shape::Vector { dim: 2 } => scatter(samples, window.or_else(|| bounds(samples))?),
        _ => None,
    }
}

/// A window on two-dimensional samples that leaves out a few far points: the 0.5 % to 99.5 % quantiles and some margin.
pub fn bounds(samples: &Samples) -> Option<Bounds> {
    if samples.shape() != Shape::vector(2) {
        return None;
    }
    let values = samples.to_f32();
    let range = |axis: usize| {
        let mut column: Vec<f64> =
            values.iter().skip(axis).step_by(2).filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
        column.sort_by(f64::total_cmp);
        let last = column.len().checked_sub(1)?;
        let at = |q: f64| column[(q * last as f64).round() as usize];
        let (low, high) = (at(0.005), at(0.995));
        let margin = if high > low { 0.12 * (high - low) } else { 0.5 };
        Some((low - margin, high + margin))
    };
    Some(Bounds { x: range(0)?, y: range(1)? })
}

/// [`picture`] of two-dimensional samples in a scene: the scatter plot with the contours of the real law and, where models know their density, its heat map
/// below. Of other samples, [`picture`] itself.
///
/// # Errors
/// Those of the model.
pub fn picture_in(
    samples: &Samples,
    model: Option<&dyn Generator>,
    scene: Option<&Scene>,
) -> madloop_core::Result<Option<Vec<u8>>> {
    let (Some(scene), false) = (scene, samples.is_empty()) else { return Ok(picture(samples, None)) };
    if samples.shape() != Shape::vector(2) {
        return Ok(picture(samples, None));
    }
    let mut canvas = scatter_canvas(samples, scene.window);
    scene.draw_contours(&mut canvas, SCATTER);
    let mut high = SCATTER;
    if scene.density
        && let Some(mut map) = scene.heat_map(model, SCATTER)?
    {
        frame(&mut canvas);
        frame(&mut map);
        canvas.extend(std::iter::repeat_n(255, SCATTER * GAP * 3));
        canvas.extend(map);
        high += GAP + SCATTER;
    } else {
        frame(&mut canvas);
    }
    Ok(png(&canvas, SCATTER, high, ExtendedColorType::Rgb8))
}

/// A PNG of all samples in one row, where they are images.
pub(crate) fn strip(samples: &Samples) -> Option<Vec<u8>> {
    match samples.shape() {
        Shape::Image { channels: channels @ (1 | 3), height, width } => {
            arranged(samples, &[(0..samples.len()).collect()], channels, height, width)
        }
        _ => None,
    }
}

fn grid(samples: &Samples, channels: usize, height: usize, width: usize) -> Option<Vec<u8>> {
    let side = (GRID_PIXELS / height.max(width)).clamp(3, GRID);
    arranged(samples, &rows_of(samples, side), channels, height, width)
}

/// The samples of each row, side by side.
fn arranged(samples: &Samples, rows: &[Vec<usize>], channels: usize, height: usize, width: usize) -> Option<Vec<u8>> {
    let columns = rows.iter().map(Vec::len).max().filter(|columns| *columns > 0)?;
    let (wide, high) = (columns * (width + 1) - 1, rows.len() * (height + 1) - 1);
    // Thin separators of a middle grey show on dark and on light images.
    let mut canvas = vec![128u8; wide * high * channels];
    let mut sample = vec![0f32; samples.dim()];
    for (y, row) in rows.iter().enumerate() {
        for (x, &index) in row.iter().enumerate() {
            samples.copy_row(index, &mut sample);
            for (line, pixels) in sample.chunks_exact(width * channels).enumerate() {
                let start = ((y * (height + 1) + line) * wide + x * (width + 1)) * channels;
                for (out, value) in canvas[start..start + width * channels].iter_mut().zip(pixels) {
                    // `as` takes NaN to 0.
                    *out = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
                }
            }
        }
    }
    let colour = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    png(&canvas, wide, high, colour)
}

/// The samples of each row of the grid.
fn rows_of(samples: &Samples, side: usize) -> Vec<Vec<usize>> {
    let Some(labels) = samples.labels() else {
        let shown: Vec<usize> = (0..samples.len().min(side * side)).collect();
        return shown.chunks(side).map(<[usize]>::to_vec).collect();
    };
    let mut classes: Vec<u32> = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let of = |class: &u32| (0..labels.len()).filter(|&row| labels[row] == *class).take(side).collect();
    classes.iter().take(side).map(of).collect()
}

fn scatter(samples: &Samples, window: Bounds) -> Option<Vec<u8>> {
    let mut canvas = scatter_canvas(samples, window);
    frame(&mut canvas);
    png(&canvas, SCATTER, SCATTER, ExtendedColorType::Rgb8)
}

/// A thin frame around an RGB canvas of a scatter plot's size.
fn frame(canvas: &mut [u8]) {
    for (at, pixel) in canvas.chunks_exact_mut(3).enumerate() {
        let (x, y) = (at % SCATTER, at / SCATTER);
        if x == 0 || y == 0 || x == SCATTER - 1 || y == SCATTER - 1 {
            pixel.fill(208);
        }
    }
}

/// The points of a scatter plot, RGB.
fn scatter_canvas(samples: &Samples, window: Bounds) -> Vec<u8> {
    const INK: [f32; 3] = [0.0, 88.0, 150.0];
    const PAPER: [f32; 3] = [255.0, 255.0, 255.0];
    let count = samples.len().min(POINTS);
    // Few points are drawn strongly, many faintly, so that density shows.
    let strength = (30.0 / (count as f32).sqrt()).clamp(0.35, 0.85);
    let mut left = vec![1f32; SCATTER * SCATTER];
    let mut point = [0f32; 2];
    let place = |value: f32, (low, high): (f64, f64)| (f64::from(value) - low) / (high - low) * (SCATTER - 1) as f64;
    for row in 0..count {
        samples.copy_row(row, &mut point);
        let (x, y) = (place(point[0], window.x), (SCATTER - 1) as f64 - place(point[1], window.y));
        if x.is_finite() && y.is_finite() {
            dot(&mut left, x, y, strength);
        }
    }
    let shade = |left: f32, channel: usize| PAPER[channel] * left + INK[channel] * (1.0 - left);
    left.into_iter().flat_map(|left| [0, 1, 2].map(|channel| shade(left, channel).round() as u8)).collect()
}

/// Lets a disc of 1.4 pixels' radius take its share of the paper that is left.
fn dot(left: &mut [f32], x: f64, y: f64, strength: f32) {
    const RADIUS: f64 = 1.4;
    let span = |centre: f64| {
        let low = (centre - RADIUS - 0.5).floor().max(0.0);
        let high = (centre + RADIUS + 0.5).ceil().min((SCATTER - 1) as f64);
        if low <= high { low as usize..high as usize + 1 } else { 0..0 }
    };
    for py in span(y) {
        for px in span(x) {
            let distance = ((px as f64 - x).powi(2) + (py as f64 - y).powi(2)).sqrt();
            let cover = (RADIUS + 0.5 - distance).clamp(0.0, 1.0) as f32;
            left[py * SCATTER + px] *= 1.0 - strength * cover;
        }
    }
}

fn png(pixels: &[u8], width: usize, height: usize, colour: ExtendedColorType) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    encoder.write_image(pixels, u32::try_from(width).ok()?, u32::try_from(height).ok()?, colour).ok()?;
    Some(bytes)
}

/// Width and height of a PNG file.
pub(crate) fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let field = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    Some((field(8)?, field(12)?)).filter(|(width, height)| *width > 0 && *height > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(png: &[u8]) -> image::DynamicImage {
        image::load_from_memory(png).expect("a PNG")
    }

    #[test]
    fn grids_have_a_row_a_class() {
        let shape = Shape::Image { channels: 1, height: 4, width: 3 };
        let values: Vec<u8> = (0..40).flat_map(|i| vec![i * 5; 12]).collect();
        let set = Samples::from_u8(shape, values).and_then(|s| s.with_labels((0..40).map(|i| i % 2).collect()));
        let set = set.expect("whole rows");
        let png = picture(&set, None).expect("images");
        assert_eq!(picture(&set, None).as_ref(), Some(&png));
        let image = decode(&png).to_luma8();
        assert_eq!(image.dimensions(), (39, 9));
        assert_eq!(png_size(&png), Some((39, 9)));
        assert_eq!((image.get_pixel(0, 0).0[0], image.get_pixel(4, 0).0[0]), (0, 10));
        assert_eq!((image.get_pixel(0, 5).0[0], image.get_pixel(3, 0).0[0]), (5, 128));
    }

    #[test]
    fn colours_and_overshoot_are_shown() {
        let shape = Shape::Image { channels: 3, height: 1, width: 1 };
        let set = Samples::from_f32(shape, vec![-0.5, 0.5, 1.5, f32::NAN, 0.0, 1.0]).expect("two rows");
        let image = decode(&picture(&set, None).expect("images")).to_rgb8();
        assert_eq!(image.dimensions(), (3, 1));
        assert_eq!(image.get_pixel(0, 0).0, [0, 128, 255]);
        assert_eq!(image.get_pixel(2, 0).0, [0, 0, 255]);
    }

    #[test]
    fn large_images_make_smaller_grids() {
        let shape = Shape::Image { channels: 1, height: 128, width: 128 };
        let set = Samples::from_u8(shape, vec![9; 128 * 128 * 30]).expect("30 rows");
        assert_eq!(decode(&picture(&set, None).expect("images")).width(), 5 * 129 - 1);
    }

    #[test]
    fn points_are_scattered_in_the_window() {
        let set = Samples::from_f32(Shape::vector(2), vec![0.0, 0.0, f32::NAN, 1.0, 1e30, 0.0]).expect("three rows");
        let window = Bounds { x: (-1.0, 1.0), y: (-1.0, 1.0) };
        let png = picture(&set, Some(window)).expect("points");
        assert_eq!(picture(&set, Some(window)).as_ref(), Some(&png));
        let image = decode(&png).to_rgb8();
        assert_eq!(image.dimensions(), (320, 320));
        assert!(image.get_pixel(160, 160).0[0] < 100);
        assert_eq!(image.get_pixel(40, 40).0, [255, 255, 255]);
    }

    #[test]
    fn other_shapes_have_no_picture() {
        let lone = Samples::from_f32(Shape::vector(2), vec![1.0, 1.0]).expect("one row");
        assert!(picture(&lone, None).is_some());
        for (shape, values) in [(Shape::vector(3), vec![0.0; 9]), (Shape::vector(2), vec![])] {
            assert_eq!(picture(&Samples::from_f32(shape, values).expect("whole rows"), None), None);
        }
        assert_eq!(bounds(&Samples::from_f32(Shape::vector(2), vec![f32::NAN; 4]).expect("two rows")), None);
    }
}
