//! Networks trained elsewhere: their numbers against Python's (`golden/make_vision.py`), and their files.

#![allow(clippy::disallowed_methods, reason = "tests look at files")]
#![allow(clippy::print_stderr, reason = "tests say what they skip")]

use std::collections::BTreeMap;
use std::path::Path;

use madloop_core::{FeatureMap, Features, Samples, Shape};
use madloop_neural::{Architecture, Extracted, Extractor, Resizing, Want};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

/// The script's `words`.
fn word(key: u64, at: u64) -> u32 {
    let mut x = (at + ((key * 0x9E37_79B1) & 0xFFFF_FFFF)) as u32;
    for (shift, factor) in [(16, 0x7FEB_352D), (15, 0x846C_A68B)] {
        x ^= x >> shift;
        x = x.wrapping_mul(factor);
    }
    x ^ (x >> 16)
}

/// The script's `image`s.
fn images(first: u64, count: u64, [height, width]: [usize; 2]) -> Samples {
    let mut pixels = Vec::new();
    for key in first..first + count {
        for at in 0..height * width * 3 {
            let (i, j, c) = (at / (width * 3), at / 3 % width, at % 3);
            let noise = (word(1000 + key, at as u64) >> 25) as usize;
            pixels.push(((noise + 2 * i + j * (c + 1)) % 256) as u8);
        }
    }
    Samples::from_u8(Shape::Image { channels: 3, height, width }, pixels).expect("images")
}

type Named = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The script's `fill`.
fn filled(golden: &Value) -> Named {
    let tensors = golden["tensors"].as_array().expect("a list");
    let one = |(key, about): (usize, &Value)| {
        let name = about[0].as_str().expect("a name");
        let shape: Vec<usize> =
            about[1].as_array().expect("a shape").iter().map(|n| n.as_u64().expect("a size") as usize).collect();
        let count = shape.iter().product::<usize>() as u64;
        let inputs: usize = shape[1..].iter().product();
        let gain = name.ends_with("running_var") || (name.contains("bn") && name.ends_with(".weight"));
        let value = |u: f64| match shape.len() {
            2.. => u * (24.0 / inputs as f64).sqrt(),
            _ if gain => 1.0 + 0.4 * u,
            _ => 0.2 * u,
        };
        let unit = |at| f64::from(word(key as u64, at)) / 4_294_967_296.0 - 0.5;
        (name.to_owned(), (shape.clone(), (0..count).map(|at| value(unit(at)) as f32).collect()))
    };
    tensors.iter().enumerate().map(one).collect()
}

fn safetensors(named: &Named) -> Vec<u8> {
    let views = named.iter().map(|(name, (shape, values))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).expect("a tensor"))
    });
    serialize(views, None).expect("a file")
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/vision.json")).expect("JSON")
}

fn load(architecture: Architecture, bytes: &[u8], side: Option<usize>, how: Option<Resizing>) -> Extractor {
    let loaded = Extractor::load(architecture, "weights.safetensors", "copy it again".into(), bytes, side, how);
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

/// The largest difference, over the root mean square of all values.
fn difference(found: &[f32], expected: &Value) -> f64 {
    let every = expected["every"].as_u64().expect("a step") as usize;
    let values: Vec<f64> =
        expected["values"].as_array().expect("values").iter().map(|v| v.as_f64().expect("a number")).collect();
    let some: Vec<f64> = found.iter().step_by(every).map(|&v| f64::from(v)).collect();
    assert_eq!(some.len(), values.len());
    let norm = expected["norm"].as_f64().expect("a number");
    let own = (found.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / found.len() as f64).sqrt();
    let worst = some.iter().zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    (worst / norm).max((own / norm - 1.0).abs())
}

fn key_of(case: &str) -> u64 {
    case.rsplit(' ').next().and_then(|key| key.parse().ok()).expect("a case ends with its image's number")
}

fn size_of(case: &Value) -> [usize; 2] {
    [0, 1].map(|axis| case["size"][axis].as_u64().expect("a size") as usize)
}

/// The trained weights beside the checkout, if they are there.
fn trained() -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/weights/efficientnet_lite0.safetensors");
    let bytes = std::fs::read(path).ok();
    if bytes.is_none() {
        eprintln!("skipped: EfficientNet-Lite0's own weights (no ../shared/weights beside the checkout)");
    }
    bytes
}

#[test]
fn effnet_is_that_of_pytorch() {
    let golden = golden();
    let golden = &golden["effnet-lite0"];
    let formula = safetensors(&filled(golden));
    let trained = trained();
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let bytes = if name.starts_with("formula") { Some(&formula) } else { trained.as_ref() };
        let Some(bytes) = bytes else { continue };
        let side = case["side"].as_u64().map(|side| side as usize);
        let map = load(Architecture::EffnetLite0, bytes, side, None);
        let features = map.features(&images(key_of(name), 1, size_of(case))).expect("features");
        assert_eq!((features.rows, features.dim), (1, 1280));
        let difference = difference(&features.values, &case["features"]);
        assert!(difference < 1e-4, "{name}: {difference:e}");
    }
}

#[test]
fn inception_is_that_of_pytorch_fid_in_each_preset() {
    let golden = golden();
    let golden = &golden["inception"];
    let bytes = safetensors(&filled(golden));
    for how in Resizing::ALL {
        let map = load(Architecture::Inception, &bytes, None, Some(how));
        for (name, case) in golden["cases"].as_object().expect("cases") {
            if case["resize"] != how.name() {
                continue;
            }
            let want = Want { spatial: true, logits: true };
            let found = map.extract(&images(key_of(name), 1, size_of(case)), want).expect("features");
            let (spatial, logits) = (found.spatial.expect("asked for"), found.logits.expect("asked for"));
            assert_eq!((found.features.dim, spatial.dim, logits.dim), (2048, 2023, 1008));
            for (what, found) in [("features", &found.features), ("spatial", &spatial), ("logits", &logits)] {
                let difference = difference(&found.values, &case[what]);
                assert!(difference < 1e-4, "{name}, {what}: {difference:e}");
            }
        }
    }
}

#[test]
fn vgg_is_that_of_torchvision() {
    let golden = golden();
    let golden = &golden["vgg16"];
    let bytes = safetensors(&filled(golden));
    let map = load(Architecture::Vgg16, &bytes, None, None);
    drop(bytes);
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let features = map.features(&images(key_of(name), 1, size_of(case))).expect("features");
        let difference = difference(&features.values, &case["features"]);
        assert!(difference < 1e-4, "{name}: {difference:e}");
    }
    // The dense layers take several images at once, and nothing shows of it.
    let set = images(5, 11, [30, 30]);
    let all = map.features(&set).expect("features");
    for row in [0, 6, 8, 10] {
        assert_eq!(map.features(&set.slice(row..row + 1)).expect("features").values, all.row(row), "row {row}");
    }
}

#[test]
fn features_do_not_depend_on_the_batch_or_on_threads() {
    let golden = golden();
    let map = load(Architecture::EffnetLite0, &safetensors(&filled(&golden["effnet-lite0"])), Some(64), None);
    let set = images(3, 19, [40, 50]);
    let all = map.features(&set).expect("features");
    let in_parts: Vec<f32> = [0..1, 1..9, 9..19]
        .into_iter()
        .flat_map(|rows| map.features(&set.slice(rows)).expect("features").values)
        .collect();
    assert_eq!(all.values, in_parts);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        assert_eq!(pool.install(|| map.features(&set)).expect("features").values, all.values, "{threads} threads");
    }
    // Grey is three equal channels, and f32 pixels are those of u8 over 255.
    let grey = Samples::from_u8(Shape::Image { channels: 1, height: 40, width: 50 }, [7, 90, 200, 255].repeat(500));
    let grey = grey.expect("images");
    let floats = Samples::from_f32(grey.shape(), grey.to_f32()).expect("images");
    let close = |a: &Features, b: &Features| a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(close(&map.features(&grey).expect("features"), &map.features(&floats).expect("features")));
}

fn refusal(bytes: &[u8]) -> String {
    let loaded = Extractor::load(Architecture::EffnetLite0, "net.pth", "get it again".into(), bytes, None, None);
    match loaded {
        Ok(_) => panic!("it was loaded"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("net.pth") && error.contains("get it again"), "{error}");
            error
        }
    }
}

#[test]
fn wrong_weights_are_named_and_never_loaded_in_part() {
    let golden = golden();
    let whole = filled(&golden["effnet-lite0"]);
    let changed = |change: &dyn Fn(&mut Named)| {
        let mut named = whole.clone();
        change(&mut named);
        refusal(&safetensors(&named))
    };
    let error = changed(&|all| drop(all.remove("_blocks.3._bn1.running_var")));
    assert!(error.contains("_blocks.3._bn1.running_var is missing"), "{error}");
    let error = changed(&|all| drop(all.insert("_blocks.16._bn1.bias".into(), (vec![1], vec![0.0]))));
    assert!(error.contains("_blocks.16._bn1.bias is not part"), "{error}");
    let error = changed(&|all| all.get_mut("_conv_head.weight").expect("there").0 = vec![320, 1280, 1, 1]);
    assert!(error.contains("_conv_head.weight has shape [320, 1280, 1, 1] instead of [1280, 320, 1, 1]"), "{error}");
    let error = changed(&|all| all.get_mut("_bn1.bias").expect("there").1[7] = f32::NAN);
    assert!(error.contains("_bn1.bias holds NaN"), "{error}");
    let error = changed(&|all| all.get_mut("_bn1.running_var").expect("there").1[7] = -1.0);
    assert!(error.contains("_bn1.running_var holds -1"), "{error}");
    let bytes = safetensors(&whole);
    for end in [0, 3, 100, 20_000, bytes.len() - 1] {
        refusal(&bytes[..end]);
    }
    refusal(b"<html>not found</html>");
}

#[test]
fn what_is_no_image_is_answered() {
    let golden = golden();
    let bytes = safetensors(&filled(&golden["effnet-lite0"]));
    let map = load(Architecture::EffnetLite0, &bytes, Some(32), None);
    let vectors = Samples::from_f32(Shape::vector(4), vec![0.0; 8]).expect("vectors");
    let error = map.features(&vectors).expect_err("vectors").to_string();
    assert!(error.contains("effnet-lite0") && error.contains("images") && error.contains('4'), "{error}");
    for side in [0, 100, 2048] {
        let loaded = Extractor::load(Architecture::EffnetLite0, "x", String::new(), &bytes, Some(side), None);
        let error = loaded.err().expect("no such size").to_string();
        assert!(error.contains("multiple of 32") && error.contains(&side.to_string()), "{error}");
    }
    let none = map.extract(&images(0, 1, [8, 8]).slice(0..0), Want::default());
    let Extracted { features, .. } = none.expect("nothing of nothing");
    assert_eq!((features.rows, features.dim), (0, 1280));
}

#[cfg(feature = "onnx")]
mod onnx {
    use madloop_neural::Onnx;

    use super::*;

    const POOLED: &[u8] = include_bytes!("golden/pooled.onnx");
    const UNPOOLED: &[u8] = include_bytes!("golden/unpooled.onnx");

    fn refusal(bytes: &[u8], side: Option<usize>) -> String {
        let error = Onnx::load("net.onnx", bytes.to_vec(), side, None).err().expect("it is refused").to_string();
        assert!(error.contains("net.onnx"), "{error}");
        error
    }

    #[test]
    fn a_network_of_ones_own_gives_what_onnxruntime_gives() {
        let golden: Value = serde_json::from_str(include_str!("golden/onnx.json")).expect("JSON");
        let map = Onnx::load("pooled.onnx", POOLED.to_vec(), None, None).expect("a network");
        assert_eq!((map.name(), map.sides(), map.dim(Shape::vector(1))), ("onnx:pooled.onnx", [24, 24], 5));
        let set = images(0, 11, [64, 64]);
        let all = map.features(&set).expect("features");
        for (found, expected) in all.row(0).iter().zip(golden["features"].as_array().expect("values")) {
            let expected = expected.as_f64().expect("a number");
            assert!((f64::from(*found) - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
        }
        assert_eq!(map.features(&set.slice(9..10)).expect("features").values, all.row(9));
    }

    #[test]
    fn networks_that_are_no_feature_maps_say_why() {
        let error = refusal(UNPOOLED, None);
        assert!(error.contains("[1, 5, 12, 12]") && error.contains("[1, d]"), "{error}");
        assert!(refusal(POOLED, Some(32)).contains("32"), "another size");
        assert!(refusal(b"no network", None).contains("no ONNX network"));
        for end in [0, 10, POOLED.len() / 2] {
            refusal(&POOLED[..end], None);
        }
    }
}
