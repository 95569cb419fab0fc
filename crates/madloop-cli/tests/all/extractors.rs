//! Feature maps of colour images: `--features effnet-lite0|inception|vgg16`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{madloop, shared_data};

/// The folder of EfficientNet-Lite0's weights, where it is.
fn weights() -> Option<PathBuf> {
    let folder = shared_data("features of EfficientNet-Lite0")?.join("../weights");
    folder.join("efficientnet_lite0.safetensors").is_file().then_some(folder)
}

fn told(folder: &Path, arguments: &[&str]) -> String {
    let output = madloop(folder).args(arguments).assert().code(1);
    String::from_utf8(output.get_output().stderr.clone()).unwrap()
}

/// Two folders of grey-blue images of two sizes, and a table.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (set, side) in [("a", 20), ("b", 20)] {
        std::fs::create_dir(folder.path().join(set)).unwrap();
        for n in 0..4_u32 {
            let pixel =
                |x: u32, y: u32| image::Rgb([(40 * n + 3 * x) as u8, (7 * y) as u8, if set == "a" { 90 } else { 200 }]);
            let image = image::RgbImage::from_fn(side, side, pixel);
            image.save(folder.path().join(set).join(format!("{n}.png"))).unwrap();
        }
    }
    std::fs::write(folder.path().join("v.csv"), "1,2\n3,4\n5,6\n").unwrap();
    folder
}

const SETS: [&str; 5] = ["score", "--real", "a", "--gen", "b"];

#[test]
fn what_is_missing_says_where_it_is_looked_for_and_how_to_get_it() {
    let folder = scene();
    for (name, file) in [
        ("effnet-lite0", "efficientnet_lite0.safetensors"),
        ("inception", "pt_inception-2015-12-05-6726825d.pth"),
        ("vgg16", "vgg16-397923af.pth"),
    ] {
        let text = told(folder.path(), &[&SETS[..], &["--features", name, "--data-dir", "here"]].concat());
        assert!(text.contains(file) && text.contains("here") && text.contains("--weights"), "{text}");
        assert_eq!(text.contains(&format!("madloop data get {name}")), name != "effnet-lite0", "{text}");
    }
    // A file of the right name with other bytes is not taken.
    std::fs::create_dir(folder.path().join("inception")).unwrap();
    std::fs::write(folder.path().join("inception/pt_inception-2015-12-05-6726825d.pth"), "no network").unwrap();
    let text = told(folder.path(), &[&SETS[..], &["--features", "inception", "--data-dir", "."]].concat());
    assert!(text.contains("SHA-256") && text.contains("6726825d0af5f729"), "{text}");
    // Given by hand, it is read, and is no network.
    let bad = ["--features", "vgg16", "--weights", "v.csv"];
    let text = told(folder.path(), &[&SETS[..], &bad].concat());
    assert!(text.contains("v.csv") && text.contains("not usable as weights of VGG-16"), "{text}");
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let folder = scene();
    let with = |more: &[&str]| told(folder.path(), &[&SETS[..], more].concat());
    assert!(with(&["--features", "pixels", "--weights", "v.csv"]).contains("--weights"));
    assert!(with(&["--features", "pixels", "--feature-resize", "clean-fid"]).contains("--feature-resize"));
    assert!(with(&["--metrics", "fid"]).contains("--features inception"));
    assert!(with(&["--features", "effnet-lite0", "--metrics", "inception_score"]).contains("--features inception"));
    assert!(with(&["--features", "effnet"]).contains("did you mean \"effnet-lite0\""));
    let vectors = ["score", "--real", "v.csv", "--gen", "v.csv", "--features", "inception"];
    assert!(told(folder.path(), &vectors).contains("inception takes images"));
    let Some(weights) = weights() else { return };
    let weights = weights.to_str().unwrap();
    let text = with(&["--features", "effnet-lite0", "--data-dir", weights, "--feature-size", "100"]);
    assert!(text.contains("100 pixels") && text.contains("multiple of 32"), "{text}");
}

#[test]
fn a_distance_says_what_it_is_of() {
    let Some(weights) = weights() else { return };
    let folder = scene();
    let found = |more: &[&'static str]| {
        let own = ["--features", "effnet-lite0", "--feature-size", "64", "--metrics", "frechet_distance", "--json"];
        let all = [&SETS[..], &own, &["--data-dir", weights.to_str().unwrap()], more];
        let output = madloop(folder.path()).args(all.concat()).assert().success();
        serde_json::from_slice::<Value>(&output.get_output().stdout).unwrap()
    };
    let by_default = found(&[]);
    let distance = by_default["metrics"]["frechet_distance"].as_f64().unwrap();
    assert!(distance > 0.1 && by_default["metrics"]["fid"].is_null(), "{by_default}");
    let provenance = &by_default["provenance"];
    assert_eq!(provenance["features"], "effnet-lite0");
    assert_eq!(provenance["dimensions"], 1280);
    assert_eq!(provenance["features_sha256"].as_str().unwrap().len(), 64);
    let input = &provenance["features_input"];
    assert_eq!((&input["network"], &input["size"][0]), (&"EfficientNet-Lite0".into(), &64.into()));
    assert_eq!((&input["resize"], &input["weights"]), (&"clean-fid".into(), &"published".into()));
    let like = found(&["--like", "torch-fidelity"]);
    assert_eq!(like["provenance"]["features_input"]["resize"], "torch-fidelity");
    assert_ne!(like["metrics"]["frechet_distance"].as_f64().unwrap(), distance);
}
