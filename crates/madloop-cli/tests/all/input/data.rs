//! Files of data that are not what they should be, through `run`, `score` and `stats`.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{DynamicImage, ImageFormat};
use zip::write::SimpleFileOptions;

use super::Bench;

/// An .npy file of this type, shape and content.
pub(crate) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// `[rows, 2]` f32.
pub(crate) fn pairs(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    let data: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    npy("<f4", &format!("{}, 2", data.len() / 8), &data)
}

pub(crate) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    // Written by hand: the writer itself refuses names that escape.
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
    tar.into_inner().unwrap()
}

fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn png(side: u32, rgb: bool) -> Vec<u8> {
    let image = if rgb { DynamicImage::new_rgb8(side, side) } else { DynamicImage::new_luma8(side, side) };
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

const OWN: &str = r#"
name = "own"
generations = 1
data = { source = "path", path = "x" }
model = { family = "gaussian" }
loop = { kind = "fully-synthetic", n_initial = 2 }
score = { k = 1, metrics = ["frechet_distance"] }
"#;

/// The file must be refused by all three commands in the same words.
fn refused(files: &[(&str, Vec<u8>, &[&str])]) {
    let bench = Bench::new();
    bench.write("own.toml", OWN);
    bench.write("good.npy", pairs((0..40).map(|i| i as f32)));
    for (name, bytes, parts) in files {
        bench.write(name, bytes);
        let parts = &[&[*name], *parts].concat();
        bench.refuses_run(&["own.toml", "--set", &format!("data.path={name}")], parts);
        bench.refuses(&["score", "--real", "good.npy", "--gen", name], parts);
        bench.refuses(&["stats", name, "-o", "stats.npz"], parts);
        assert!(!bench.path("stats.npz").exists());
    }
}

#[test]
fn damaged_files_are_named_with_what_is_wrong() {
    let good = pairs((0..40).map(|i| i as f32));
    let digits = idx(&[10, 4, 4], &[7; 160]);
    let tensors = {
        let header = br#"{"x":{"dtype":"F32","shape":[20,2],"data_offsets":[0,160]}}"#;
        [&(header.len() as u64).to_le_bytes()[..], header, &[0; 150]].concat()
    };
    let archive = zip(&[("a.png", &png(4, false))]);
    refused(&[
        ("cut.npy", good[..good.len() - 30].to_vec(), &["truncated", "160 bytes", "130", "again"]),
        ("head.npy", good[..20].to_vec(), &["header is truncated", "numpy.save"]),
        ("none.npy", Vec::new(), &["is empty"]),
        ("vast.npy", npy("<f4", "1000000000000, 1000000000000", b""), &["truncated", "1000000000000"]),
        ("long.npy", npy("<i8", "20, 2", &[0; 320]), &["int64", "uint8", "float32"]),
        ("object.npy", npy("|O", "3,", b"\x80\x04]\x94."), &["pickled", "never read"]),
        ("no-rows.npy", npy("<f4", "0, 2", b""), &["[0, 2]", "at least one sample"]),
        ("flat.npy", npy("<f4", "4,", &[0; 16]), &["[4]", "[n, d]"]),
        ("cut.npz", zip(&[("arr_0.npy", &good)])[..60].to_vec(), &["zip", "again"]),
        ("object.npz", zip(&[("arr_0.npy", &npy("|O", "3,", b"x"))]), &["arr_0.npy", "pickled", "never read"]),
        ("cut.safetensors", tensors, &["no whole .safetensors", "again"]),
        ("cut-idx3-ubyte", digits[..100].to_vec(), &["truncated", "160 bytes", "again"]),
        ("magic-idx3-ubyte", [&[1, 2, 3, 4], &digits[4..]].concat(), &["not known", "IDX"]),
        ("cut-idx3-ubyte.gz", gz(&digits)[..12].to_vec(), &["gzip"]),
        ("long-idx3-ubyte.gz", gz(&[digits, vec![0; 50_000_000]].concat()), &["too long", "160 bytes"]),
        ("cut.zip", archive[..archive.len() - 30].to_vec(), &["zip archive cannot be read", "again"]),
        ("cut.tar", tar("a.png", &png(4, false))[..520].to_vec(), &["truncated"]),
        ("noise.png", b"\x89PNG\r\n".to_vec(), &["not known", "png"]),
        ("noise.zip", zip(&[("a.png", b"noise")]), &["a.png", "cannot be decoded"]),
        ("text.zip", zip(&[("a.txt", b"noise")]), &["no image", "png"]),
        ("what.xyz", b"noise".to_vec(), &["not known", ".npy"]),
    ]);
}

#[test]
fn values_that_are_no_numbers_are_named_with_row_and_column() {
    let with = |value: f32| pairs((0..40).map(|i| if i == 7 { value } else { i as f32 }));
    refused(&[
        ("nan.npy", with(f32::NAN), &["row 3, column 1 is NaN", "from 0", "finite"]),
        ("inf.npy", with(f32::INFINITY), &["row 3, column 1 is inf", "finite"]),
        ("nan.npz", zip(&[("arr_0.npy", &with(f32::NAN))]), &["arr_0.npy", "row 3, column 1 is NaN"]),
        ("big.npy", npy("<f8", "1, 1", &1e300_f64.to_le_bytes()), &["row 0, column 0", "f32"]),
        ("nan.csv", b"a,b\n1,2\n3,nan\n".to_vec(), &["row 1, column 1 is NaN"]),
        ("text.csv", b"a,b\n1,2\n3,cat\n".to_vec(), &["line 3, column 2 is \"cat\"", "header"]),
        ("gap.csv", b"a,b\n1,\n".to_vec(), &["line 2, column 2 is \"\"", "numbers"]),
        ("ragged.csv", b"a,b\n1,2\n3\n".to_vec(), &["line 3 has 1 columns", "before 2", "same number"]),
        ("header.csv", b"a,b\n".to_vec(), &["0 rows", "at least one row"]),
        ("empty.csv", Vec::new(), &["empty.csv", "at least one row"]),
    ]);
}

#[test]
fn hostile_archives_are_refused_before_they_are_unpacked() {
    let image = png(4, false);
    // A hundred members that claim a gigabyte each: the sizes in the central directory are rewritten.
    let names: Vec<String> = (0..100).map(|i| format!("{i:03}.png")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &image[..])).collect();
    let mut bomb = zip(&members);
    let heads: Vec<usize> = (0..bomb.len() - 4).filter(|&at| bomb[at..at + 4] == *b"PK\x01\x02").collect();
    for at in heads {
        bomb[at + 24..at + 28].copy_from_slice(&(1_u32 << 30).to_le_bytes());
    }
    refused(&[
        ("up.zip", zip(&[("../../evil.png", &image)]), &["\"../../evil.png\"", "leads out", "do not trust"]),
        ("root.zip", zip(&[("/etc/evil.png", &image)]), &["\"/etc/evil.png\"", "leads out"]),
        ("up.tar", tar("../evil.png", &image), &["\"../evil.png\"", "leads out"]),
        ("bomb.zip", bomb, &["claim to unpack to 107374182400 bytes", "limit", "unpack it"]),
    ]);
}

#[test]
fn images_of_several_kinds_need_a_common_one() {
    let bench = Bench::new();
    bench.write("own.toml", OWN);
    for i in 0..10 {
        bench.write(&format!("sizes/{i}.png"), png(4 + i % 2, false));
        bench.write(&format!("colours/{i}.png"), png(4, i % 2 == 0));
    }
    std::fs::create_dir(bench.path("empty")).unwrap();
    for (folder, parts, set, option) in [
        ("sizes", &["sizes/", ".png", "resize"][..], "data.resize=4", ["--resize", "4"]),
        ("colours", &["colours/", ".png", "color"], "data.color=grey", ["--color", "grey"]),
    ] {
        let path = format!("data.path={folder}");
        bench.refuses_run(&["own.toml", "--set", &path], parts);
        bench.refuses(&["score", "--real", folder, "--gen", folder], parts);
        bench.refuses(&["stats", folder, "-o", "a.npz"], parts);
        let out = format!("run-{folder}");
        bench.succeeds(&["run", "own.toml", "--set", &path, "--set", set, "--out", &out]);
        bench.succeeds(&[&["score", "--real", folder, "--gen", folder, "--k", "1"], &option[..]].concat());
        bench.succeeds(&[&["stats", folder, "-o", "a.npz"], &option[..]].concat());
    }
    bench.refuses_run(&["own.toml", "--set", "data.path=empty"], &["empty", "no image", "png"]);
    bench.refuses_run(
        &["own.toml", "--set", "data.path=nowhere"],
        &["nowhere", "neither in the working folder", "data.path"],
    );
    bench.refuses(&["score", "--real", "sizes", "--gen", "sizes", "--resize", "0"], &["--resize 0", "HEIGHTxWIDTH"]);
    bench.refuses(&["score", "--real", "sizes", "--gen", "sizes", "--color", "red"], &["--color red", "grey or rgb"]);
    bench.refuses(&["score", "--real", "sizes", "--gen", "sizes", "--filter", "area"], &["--resize"]);
}

#[test]
fn a_data_set_that_is_absent_or_altered_is_told_with_its_place() {
    let bench = Bench::new();
    let run = ["mnist-gmm", "--data-dir", "sets"];
    bench.refuses_run(
        &run,
        &["mnist is not on this machine", "madloop data get mnist", "sets/mnist", "train-images-idx3-ubyte.gz"],
    );
    for name in
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    {
        bench.write(&format!("sets/mnist/{name}"), idx(&[4, 28, 28], &[0; 3136]));
    }
    bench.refuses_run(&run, &["sets/mnist/", "-ubyte", "delete the file and download it again"]);
    bench.refuses(&["data", "info", "mnits"], &["\"mnits\"", "did you mean \"mnist\"?"]);
    bench.refuses(&["data", "get", "digits8"], &["nothing to download"]);
}
