//! Damaged files of every format: an error or sound samples, never a panic.

use std::fs;
use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::{ReadOptions, read_samples};

fn png() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = image::GrayImage::from_pixel(3, 3, image::Luma([9]));
    image.write_to(&mut bytes, image::ImageFormat::Png).expect("memory");
    bytes.into_inner()
}

fn npy() -> Vec<u8> {
    let text = "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }\n";
    [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), &[0; 48]].concat()
}

fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default()).expect("a member");
    zip.write_all(bytes).expect("memory");
    zip.finish().expect("a whole zip").into_inner()
}

fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(png().len() as u64);
    tar.append_data(&mut header, "a/b.png", &png()[..]).expect("memory");
    tar.into_inner().expect("a whole tar")
}

fn safetensors() -> Vec<u8> {
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 3], &[0; 24]).expect("24 bytes");
    safetensors::serialize([("x", view)], None).expect("a tensor")
}

fn idx() -> Vec<u8> {
    [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[5; 8]].concat()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn files() -> [(&'static str, Vec<u8>); 9] {
    [
        ("x.npy", npy()),
        ("x.npz", zip("x.npy", &npy())),
        ("x.zip", zip("a/b.png", &png())),
        ("x.tar", tar()),
        ("x.safetensors", safetensors()),
        ("x-idx", idx()),
        ("x-idx.gz", gz(&idx())),
        ("x.csv", b"a,label\n1.5,2\n3e4,7\n".to_vec()),
        ("x.csv.gz", gz(b"1,2\n3,4\n")),
    ]
}

#[test]
fn undamaged_files_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        read_samples(&path, &ReadOptions::default()).expect("samples");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_files_are_refused_or_sound(
        format in 0_usize..9,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (name, mut bytes) = files()[format].clone();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(keep) = keep {
            bytes.truncate(keep.index(bytes.len()));
        }
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        match read_samples(&path, &ReadOptions::default()) {
            Ok(set) => {
                prop_assert!(!set.is_empty());
                prop_assert!(set.check_finite("the set").is_ok());
                prop_assert!(set.labels().is_none_or(|labels| labels.len() == set.len()));
            }
            Err(error) => prop_assert!(error.to_string().contains(name), "{}", error),
        }
    }
}
