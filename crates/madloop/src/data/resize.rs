//! Pixels of one image to another size or colour.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Luma, Pixel, Rgb};
use madloop_core::Shape;

use super::read::Filter;

/// Height, width and channels (1 or 3) of an image whose pixels are ordered height, width, channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
}

impl Size {
    /// The shape of one sample.
    pub(crate) fn shape(self) -> Shape {
        Shape::Image { channels: self.channels, height: self.height, width: self.width }
    }

    /// Values of one image.
    pub(crate) fn len(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// Brings `pixels` of size `from` to size `to`: first the colour, then the sides.
pub(crate) fn fit(pixels: &[u8], from: Size, to: Size, filter: Filter, out: &mut [u8]) {
    let recoloured;
    let pixels = match (from.channels, to.channels) {
        (1, 3) => {
            recoloured = pixels.iter().flat_map(|&grey| [grey; 3]).collect::<Vec<_>>();
            &recoloured[..]
        }
        (3, 1) => {
            recoloured = pixels.chunks_exact(3).map(grey).collect::<Vec<_>>();
            &recoloured[..]
        }
        _ => pixels,
    };
    let from = Size { channels: to.channels, ..from };
    if from == to {
        out.copy_from_slice(pixels);
    } else if filter == Filter::Area {
        area(pixels, from, to, out);
    } else if to.channels == 1 {
        lanczos::<Luma<u8>>(pixels, from, to, out);
    } else {
        lanczos::<Rgb<u8>>(pixels, from, to, out);
    }
}

/// Luma of ITU-R BT.601 in 16-bit fixed point, as Pillow's `convert("L")`.
fn grey(rgb: &[u8]) -> u8 {
    let [r, g, b] = [u32::from(rgb[0]), u32::from(rgb[1]), u32::from(rgb[2])];
    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
}

fn lanczos<P: Pixel<Subpixel = u8> + 'static>(pixels: &[u8], from: Size, to: Size, out: &mut [u8]) {
    let image = ImageBuffer::<P, &[u8]>::from_raw(from.width as u32, from.height as u32, pixels);
    let image = image.expect("a buffer of its size");
    let resized = imageops::resize(&image, to.width as u32, to.height as u32, FilterType::Lanczos3);
    out.copy_from_slice(resized.as_raw());
}

/// Each pixel is the mean of the rectangle of the source that it covers, rounded.
fn area(pixels: &[u8], from: Size, to: Size, out: &mut [u8]) {
    let (rows, columns) = (cover(from.height, to.height), cover(from.width, to.width));
    let channels = to.channels;
    // [to.height, from.width, channels], then [to.height, to.width, channels].
    let mut line = vec![0.0_f32; from.width * channels];
    for (out, (top, weights)) in out.chunks_exact_mut(to.width * channels).zip(&rows) {
        line.fill(0.0);
        for (y, weight) in weights.iter().enumerate() {
            let source = &pixels[(top + y) * from.width * channels..][..from.width * channels];
            for (sum, &pixel) in line.iter_mut().zip(source) {
                *sum += weight * f32::from(pixel);
            }
        }
        for (out, (left, weights)) in out.chunks_exact_mut(channels).zip(&columns) {
            for (channel, out) in out.iter_mut().enumerate() {
                let sum: f32 =
                    weights.iter().enumerate().map(|(x, weight)| weight * line[(left + x) * channels + channel]).sum();
                *out = sum.round().clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// For each of `to` pixels the first of the `from` pixels it covers and the share of each, which sum to 1.
fn cover(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let one = |pixel: usize| {
        let (start, end) = (pixel as f64 * scale, ((pixel + 1) as f64 * scale).min(from as f64));
        let first = (start as usize).min(from - 1);
        let last = (end.ceil() as usize).clamp(first + 1, from);
        let share = |source: usize| {
            let overlap = end.min((source + 1) as f64) - start.max(source as f64);
            (overlap.max(0.0) / (end - start)) as f32
        };
        (first, (first..last).map(share).collect())
    };
    (0..to).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(height: usize, width: usize, channels: usize) -> Size {
        Size { height, width, channels }
    }

    fn fitted(pixels: &[u8], from: Size, to: Size, filter: Filter) -> Vec<u8> {
        let mut out = vec![0; to.len()];
        fit(pixels, from, to, filter, &mut out);
        out
    }

    #[test]
    fn area_is_the_mean_of_what_is_covered() {
        assert_eq!(fitted(&[0, 100, 50, 250], size(2, 2, 1), size(1, 1, 1), Filter::Area), [100]);
        // 3 -> 2: each covers one pixel and a half.
        assert_eq!(fitted(&[0, 90, 30], size(1, 3, 1), size(1, 2, 1), Filter::Area), [30, 50]);
        assert_eq!(fitted(&[10, 20], size(1, 2, 1), size(2, 4, 1), Filter::Area), [10, 10, 20, 20, 10, 10, 20, 20]);
        assert_eq!(fitted(&[0, 1, 2, 100, 101, 102], size(1, 2, 3), size(1, 1, 3), Filter::Area), [50, 51, 52]);
    }

    #[test]
    fn constant_images_stay_constant() {
        for filter in [Filter::Area, Filter::Lanczos] {
            for side in [1, 3, 8, 31] {
                let out = fitted(&[77; 3 * 13 * 13], size(13, 13, 3), size(side, side, 3), filter);
                assert!(out.iter().all(|&pixel| pixel == 77), "{filter:?} to {side}");
            }
        }
    }

    #[test]
    fn colours_convert() {
        // Pillow 11: Image.new("RGB", (1, 1), colour).convert("L").
        for (rgb, expected) in [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([255; 3], 255)] {
            assert_eq!(fitted(&rgb, size(1, 1, 3), size(1, 1, 1), Filter::Area), [expected]);
        }
        assert_eq!(fitted(&[9], size(1, 1, 1), size(1, 1, 3), Filter::Area), [9, 9, 9]);
    }
}
