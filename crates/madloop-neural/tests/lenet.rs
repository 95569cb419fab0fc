//! LeNet: training, files, features, the reference weights, downstream accuracy.

#![allow(clippy::print_stderr, reason = "it says what it skips")]

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use madloop_core::{Cancel, FeatureMap, Samples, Seeds, Shape, Stream};
use madloop_neural::{Lenet, LenetConfig, LenetError, downstream_accuracy, train_lenet};
use rand::RngExt;

/// SHA-256 of `assets/lenet-mnist.safetensors`, as `assets/README.md` gives it.
const REFERENCE: &str = "097ba9bcc9271ec23a0a1a4d86aaaf3b6d4df18ff7ae0d8c255e5cd5d1cff0be";

fn image(height: usize, width: usize, channels: usize) -> Shape {
    Shape::Image { channels, height, width }
}

/// Noise with a bright square, whose quarter of the image is the class.
fn squares(rows: usize, shape: Shape, seed: u64) -> Samples {
    let Shape::Image { channels, height, width } = shape else { panic!("of images") };
    let mut rng = Seeds::new(seed).rng(Stream::REAL, 0);
    let labels: Vec<u32> = (0..rows as u32).map(|row| row % 4).collect();
    let mut values = Vec::new();
    for label in &labels {
        let (down, right) = (*label as usize / 2, *label as usize % 2);
        for at in 0..height * width {
            let inside = 2 * (at / width) / height == down && 2 * (at % width) / width == right;
            values.extend((0..channels).map(|_| if inside { 0.3 } else { 0.0 } + 0.6 * rng.random::<f32>()));
        }
    }
    Samples::from_f32(shape, values).and_then(|set| set.with_labels(labels)).expect("whole rows")
}

fn quick() -> LenetConfig {
    LenetConfig { epochs: 5, batch: 32, learning_rate: 3e-3, shift: 1 }
}

fn trained(set: &Samples) -> Lenet {
    train_lenet(set, &quick(), Seeds::new(5), &Cancel::default(), &|_| {}).expect("trains")
}

fn threads<T: Send>(n: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().expect("a pool of few threads").install(work)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_quick_classifier_is_right_and_the_same_on_any_threads() {
    for shape in [image(12, 8, 1), image(16, 17, 3)] {
        let (set, test) = (squares(400, shape, 1), squares(400, shape, 2));
        let lenet = threads(1, || trained(&set));
        // By chance, 160 of 400 right of four classes: below 1e-10.
        assert!(lenet.accuracy(&test).expect("labelled") > 0.97, "{:?}", lenet.accuracy(&test));
        assert_eq!(lenet.classes(), 4);
        let other = threads(3, || trained(&set));
        assert_eq!(lenet.sha256(), other.sha256());
        let seeds = Seeds::new(6);
        let other = train_lenet(&set, &quick(), seeds, &Cancel::default(), &|_| {}).expect("trains");
        assert_ne!(lenet.sha256(), other.sha256());
    }
}

#[test]
fn features_do_not_depend_on_batches_or_threads() {
    let lenet = Lenet::mnist().expect("embedded");
    let set = squares(37, image(28, 28, 1), 3);
    let whole = threads(1, || lenet.features(&set)).expect("the right shape");
    assert_eq!((whole.rows, whole.dim, whole.values.len()), (37, lenet.dim(set.shape()), 37 * 84));
    assert!(whole.values.iter().any(|value| *value < 0.0), "they are taken before the rectifier");
    for (batch, pool) in [(1, 2), (5, 3), (36, 5)] {
        let mut parts = Vec::new();
        for start in (0..37).step_by(batch) {
            let part = set.slice(start..(start + batch).min(37));
            parts.extend(threads(pool, || lenet.features(&part)).expect("the right shape").values);
        }
        assert_eq!(bits(&whole.values), bits(&parts), "batches of {batch}");
    }
    // u8 pixels stand for v / 255.
    let bytes: Vec<u8> = (0..784).map(|at| (at % 256) as u8).collect();
    let floats = bytes.iter().map(|&v| f32::from(v) / 255.0).collect();
    let bytes = lenet.features(&Samples::from_u8(image(28, 28, 1), bytes).expect("one row")).expect("features");
    let floats = lenet.features(&Samples::from_f32(image(28, 28, 1), floats).expect("one row")).expect("features");
    assert_eq!(bits(&bytes.values), bits(&floats.values));
    assert!(lenet.features(&set.slice(0..0)).expect("no rows").values.is_empty());
}

/// Against NumPy, which adds in the same order; the values are f32 and exact in JSON.
#[test]
fn features_have_the_same_bits_everywhere() {
    let golden: Vec<Vec<f64>> = serde_json::from_str(include_str!("golden/lenet.json")).expect("rows of numbers");
    let pixels = (0..3 * 784_u64).map(|at| (at * at % 251) as u8).collect();
    let set = Samples::from_u8(image(28, 28, 1), pixels).expect("three rows");
    let found = Lenet::mnist().expect("embedded").features(&set).expect("the right shape");
    let golden: Vec<f32> = golden.iter().flatten().map(|&value| value as f32).collect();
    assert_eq!(bits(&found.values), bits(&golden));
}

#[test]
fn wrong_samples_are_refused_with_the_remedy() {
    let lenet = Lenet::mnist().expect("embedded");
    for shape in [image(32, 32, 1), image(28, 28, 3), Shape::vector(784)] {
        let set = Samples::from_f32(shape, vec![0.5; shape.len()]).expect("one row");
        let error = lenet.features(&set).expect_err("another shape").to_string();
        for part in ["28x28x1", &shape.to_string(), "lenet:FILE"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(shape.is_image(), error.contains("--resize 28 --color grey"), "{error}");
    }
    let with = |value: f32| {
        let mut values = vec![0.0; 2 * 784];
        values[784 + 5] = value;
        let error = lenet.features(&Samples::from_f32(image(28, 28, 1), values).expect("two rows"));
        error.expect_err("not finite").to_string()
    };
    assert!(with(f32::NAN).contains("row 1, column 5"), "{}", with(f32::NAN));
    assert!(with(3e38).contains("row 1") && with(3e38).contains("3e38"), "{}", with(3e38));
}

#[test]
fn training_sets_that_cannot_be_used_are_explained() {
    let set = squares(8, image(8, 8, 1), 1);
    let error = |set: &Samples, config: &LenetConfig| {
        let trained = train_lenet(set, config, Seeds::new(0), &Cancel::default(), &|_| {});
        trained.err().expect("refused").to_string()
    };
    let relabelled = |labels: Vec<u32>| {
        Samples::from_f32(set.shape(), set.to_f32()).and_then(|set| set.with_labels(labels)).expect("whole rows")
    };
    let unlabelled = Samples::from_f32(set.shape(), set.to_f32()).expect("whole rows");
    for (set, part) in [
        (unlabelled, "no labels"),
        (relabelled(vec![3; 8]), "class 3"),
        (relabelled((0..8).map(|row| row * 4_000_000).collect()), "28000000"),
        (set.slice(0..0), "empty"),
        (squares(4, image(6, 8, 1), 1), "6x8x1"),
        (squares(4, image(8, 8, 2), 1), "8x8x2"),
    ] {
        let error = error(&set, &quick());
        assert!(error.contains(part), "{error}");
    }
    for (config, part) in [
        (LenetConfig { epochs: 0, ..quick() }, "epochs is 0"),
        (LenetConfig { batch: 0, ..quick() }, "batch is 0"),
        (LenetConfig { learning_rate: -1.0, ..quick() }, "learning_rate is -1"),
        (LenetConfig { shift: 9, ..quick() }, "shift is 9"),
        (LenetConfig { learning_rate: 1e30, epochs: 50, ..quick() }, "ended: the loss is"),
    ] {
        let error = error(&set, &config);
        assert!(error.contains(part), "{error}");
    }
    let cancel = Cancel::default();
    cancel.request();
    let stopped = train_lenet(&set, &quick(), Seeds::new(0), &cancel, &|_| {}).err().expect("stopped");
    assert!(matches!(madloop_core::Error::from(stopped), madloop_core::Error::Cancelled));
}

#[test]
fn files_come_back_bit_for_bit() {
    let set = squares(40, image(9, 8, 3), 4);
    let lenet = trained(&set).with_command("by hand").expect("another file");
    assert_eq!(lenet.about()["command"], "by hand");
    assert_eq!(lenet.about()["training"]["samples"], 40);
    let back = Lenet::load("some.safetensors", lenet.save().to_vec()).expect("whole");
    assert_eq!(back.name(), "lenet:some.safetensors");
    assert_eq!((back.save(), back.sha256(), back.about()), (lenet.save(), lenet.sha256(), lenet.about()));
    let of = |lenet: &Lenet| bits(&lenet.features(&set).expect("features").values);
    assert_eq!(of(&back), of(&lenet));
}

/// The file with a stretch of its header replaced by one of the same length, which keeps the rest readable.
fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|part| part == old.as_bytes()).expect("it is in the header");
    let mut bytes = bytes.to_vec();
    assert_eq!(old.len(), new.len());
    bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    bytes
}

#[test]
fn damaged_files_are_refused_by_key() {
    let lenet = trained(&squares(8, image(8, 8, 1), 4));
    let whole = lenet.save();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    let infinite = {
        // The first tensor's first value.
        let mut bytes = whole.to_vec();
        bytes[header..header + 4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        bytes
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "eader"),
        (whole[..whole.len() - 4].to_vec(), ""),
        (whole[..100].to_vec(), ""),
        (replaced(whole, "network.conv.1.weight", "network.conv.1.weighs"), "conv.1.weight is missing"),
        (replaced(whole, "network.output.bias", "another.output.bias"), "output.bias is missing"),
        (replaced(whole, "\"input.mean\"", "\"input.meal\""), "input.mean is missing"),
        (replaced(whole, "[120,84]", "[84,120]"), "dense.1.weight has the shape [84, 120] instead of [120, 84]"),
        (replaced(whole, "madloop lenet 1", "madloop lenet 9"), "madloop lenet 9"),
        (
            replaced(whole, "\\\"classes\\\":4", "\\\"classes\\\":5"),
            "output.weight has the shape [84, 4] instead of [84, 5]",
        ),
        (replaced(whole, "\\\"classes\\\":4", "\\\"classes\\\":1"), "classes = 1"),
        (replaced(whole, "\\\"classes\\\":4", "\\\"classen\\\":4"), "classes"),
        (replaced(whole, "\\\"height\\\":8", "\\\"height\\\":5"), "5x8x1"),
        (infinite, "holds inf"),
    ];
    for (bytes, part) in cases {
        let error = Lenet::load("a.safetensors", bytes).err().unwrap_or_else(|| panic!("{part:?} is not refused"));
        assert!(matches!(error, LenetError::BadFile { .. }), "{error}");
        let error = error.to_string();
        assert!(error.starts_with("a.safetensors is not usable") && error.contains(part), "{part:?}: {error}");
    }
}

#[test]
fn downstream_accuracy_falls_with_shuffled_labels() {
    let (set, test) = (squares(600, image(8, 8, 1), 1), squares(400, image(8, 8, 1), 2));
    let cancel = Cancel::default();
    let accuracy = |set: &Samples, test: &Samples| {
        downstream_accuracy(set, test, &LenetConfig::downstream(set), Seeds::new(1), &cancel).expect("no error")
    };
    let good = accuracy(&set, &test).expect("defined");
    assert!(good > 0.97, "{good}");
    assert_eq!(good, accuracy(&set, &test).expect("defined"));
    // What it learns of shuffled labels is at most which of them happens to be the most frequent in a quarter: right one time in four,
    // in 8 trainings with 4 quarters each. Above 0.7 (23 of 32) that comes to by a chance of 1e-7.
    let shuffled = |seed: u64| {
        let mut rng = Seeds::new(seed).rng(Stream::REAL, 0);
        let labels = (0..600).map(|_| rng.random_range(0..4_u32)).collect();
        let shuffled = Samples::from_f32(set.shape(), set.to_f32()).and_then(|set| set.with_labels(labels));
        accuracy(&shuffled.expect("whole rows"), &test).expect("defined")
    };
    let bad = (0..8).map(shuffled).sum::<f64>() / 8.0;
    assert!(bad < 0.7, "{bad}");

    let epochs = |rows: usize| {
        let shape = image(16, 16, 1);
        LenetConfig::downstream(&Samples::from_u8(shape, vec![0; rows * 256]).expect("whole rows")).epochs
    };
    assert_eq!([100, 1600, 3000, 5000, 10_000, 30_000].map(epochs), [128, 8, 8, 8, 4, 2]);

    let unlabelled = Samples::from_f32(set.shape(), set.to_f32()).expect("whole rows");
    assert!(accuracy(&unlabelled, &test).expect_err("undefined").contains("no labels"));
    assert!(accuracy(&set, &unlabelled).expect_err("undefined").contains("test set has no labels"));
    let one = set.select(&[0, 4, 8]);
    assert!(accuracy(&one, &test).expect_err("undefined").contains("class 0"));
    let small = squares(8, image(4, 4, 1), 1);
    assert!(accuracy(&small, &small).expect_err("undefined").contains("4x4x1"));
    let other = squares(8, image(9, 8, 1), 1);
    let error = downstream_accuracy(&set, &other, &quick(), Seeds::new(1), &cancel);
    assert!(error.expect_err("other shapes").to_string().contains("9x8x1"));
}

#[test]
fn vectors_go_to_the_dense_layers() {
    let cloud = |seed: u64| {
        let mut rng = Seeds::new(seed).rng(Stream::REAL, 0);
        let labels: Vec<u32> = (0..400).map(|row| row % 3).collect();
        // Columns of very different scales.
        let row = |label: &u32| {
            let mut noise = || rng.random::<f32>() - 0.5;
            [*label as f32 + noise() * 0.5, 1000.0 * noise(), 7.0]
        };
        let values: Vec<f32> = labels.iter().flat_map(row).collect();
        Samples::from_f32(Shape::vector(3), values).and_then(|set| set.with_labels(labels)).expect("whole rows")
    };
    let lenet = trained(&cloud(1));
    // By chance, 0.9 of 400 right of three classes: below 1e-100.
    assert!(lenet.accuracy(&cloud(2)).expect("labelled") > 0.9);
    assert_eq!(lenet.features(&cloud(3)).expect("features").values.len(), 400 * 84);
}

#[test]
fn the_reference_weights_are_those_of_the_readme() {
    let lenet = Lenet::mnist().expect("embedded");
    assert_eq!(lenet.sha256(), REFERENCE);
    assert!(include_str!("../assets/README.md").contains(REFERENCE));
    assert_eq!((lenet.name(), lenet.shape(), lenet.classes()), ("lenet", image(28, 28, 1), 10));
    let command = lenet.about()["command"].as_str().expect("it says how it was made");
    assert!(include_str!("../assets/README.md").contains(command), "{command}");
}

#[test]
fn the_reference_network_reads_digits() {
    let Some(folder) = mnist() else { return };
    let unpacked = |name: &str| {
        let mut bytes = Vec::new();
        #[expect(clippy::disallowed_methods, reason = "a test reads a file")]
        let file = std::fs::File::open(folder.join(name)).expect("readable");
        GzDecoder::new(file).read_to_end(&mut bytes).expect("a gzip file");
        bytes
    };
    let pixels = unpacked("t10k-images-idx3-ubyte.gz").split_off(16);
    let labels = unpacked("t10k-labels-idx1-ubyte.gz").split_off(8).into_iter().map(u32::from).collect();
    let test = Samples::from_u8(image(28, 28, 1), pixels).and_then(|set| set.with_labels(labels)).expect("whole rows");
    // The last 5,000 are the easier half; every third of all is fair.
    let rows: Vec<usize> = (0..test.len()).step_by(3).collect();
    let accuracy = Lenet::mnist().expect("embedded").accuracy(&test.select(&rows)).expect("labelled");
    assert!(accuracy > 0.985, "{accuracy}");
}

/// The folder of MNIST's files, in `$MADLOOP_DATA` or beside the checkout; says what is skipped without it.
fn mnist() -> Option<PathBuf> {
    let own = std::env::var_os("MADLOOP_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folders = own.into_iter().chain([beside]).map(|folder| folder.join("mnist"));
    let found = folders.into_iter().find(|folder| folder.join("t10k-images-idx3-ubyte.gz").is_file());
    if found.is_none() {
        eprintln!(
            "skipped: the accuracy on MNIST (no mnist folder in $MADLOOP_DATA or ../shared/data beside the checkout)"
        );
    }
    found
}
