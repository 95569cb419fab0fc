//! Whether a JPEG file is whole: decoders fill what is missing with grey and say nothing.

/// Whether the file ends with its end-of-image marker (ITU-T T.81, annex B): segments are skipped by their lengths, so that the
/// marker of a thumbnail inside one does not count, and coded data up to the next marker that is no restart.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const SCAN: u8 = 0xda;
    let mut at = 0;
    loop {
        // A marker is 0xff, any number of times, and a byte.
        let Some(0xff) = bytes.get(at) else { return false };
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        let Some(&marker) = bytes.get(at) else { return false };
        at += 1;
        match marker {
            END => return true,
            // Markers without a segment.
            START | 0x01 | 0xd0..=0xd7 => continue,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else { return false };
        at += usize::from(u16::from_be_bytes([high, low])).max(2);
        if marker == SCAN {
            let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7);
            let Some(coded) = bytes.get(at..) else { return false };
            let Some(length) = coded.windows(2).position(is_marker) else { return false };
            at += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, RgbImage};

    use super::*;

    #[test]
    fn only_the_whole_file_is_whole() {
        let image = RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Jpeg).expect("memory");
        let bytes = bytes.into_inner();
        assert!(is_whole(&bytes) && is_whole(&[&bytes[..], b"what cameras append"].concat()));
        for length in 0..bytes.len() {
            assert!(!is_whole(&bytes[..length]), "{length} of {}", bytes.len());
        }
        // A whole thumbnail inside a segment does not stand for the image.
        let segment = [&[0xff, 0xe1][..], &((bytes.len() + 2) as u16).to_be_bytes(), &bytes].concat();
        let thumbed = [&bytes[..2], &segment, &bytes[2..]].concat();
        assert!(is_whole(&thumbed) && !is_whole(&thumbed[..thumbed.len() - 2]));
    }
}
