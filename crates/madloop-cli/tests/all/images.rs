//! Folders of images in a loop: what cannot be read, and what the page shows of shared latents.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::*;

/// A 24-bit .bmp of 8x8 pixels.
fn bmp(path: &Path, seed: u32) {
    let mut bytes = b"BM".to_vec();
    for word in [54 + 192_u32, 0, 54, 40, 8, 8, 1 | 24 << 16, 0, 192, 0, 0, 0, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((0..192_u32).map(|at| (at * 3 + seed * (at % 17) * 5) as u8));
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_with_damaged_files_runs_without_them_when_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let faces = folder.path().join("faces");
    fs::create_dir(&faces).unwrap();
    (0..60).for_each(|index| bmp(&faces.join(format!("{index:02}.bmp")), index));
    let whole = fs::read(faces.join("07.bmp")).unwrap();
    fs::write(faces.join("07.bmp"), &whole[..100]).unwrap();
    fs::write(faces.join("42.bmp"), "nothing").unwrap();
    let experiment = r#"
        name = "faces"
        generations = 2
        [data]
        source = "path"
        path = "faces"
        [model]
        family = "kde"
        [loop]
        kind = "fully-synthetic"
        n_initial = 40
        [score]
        n = 5
        metrics = ["recall"]
        [report]
        latents = 3
    "#;
    fs::write(folder.path().join("faces.toml"), experiment).unwrap();
    let refused = madloop(folder.path()).args(["run", "faces.toml"]).assert().code(1);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    for part in ["2 of its 60 images cannot be read: 07.bmp, 42.bmp", "data.skip_unreadable = true"] {
        assert!(said.contains(part), "{said}");
    }
    let output =
        madloop(folder.path()).args(["run", "faces.toml", "--set", "data.skip_unreadable=true"]).assert().success();
    let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(said.contains("faces: 2 files are left out: 07.bmp, 42.bmp"), "{said}");
    let run = folder.path().join("runs/faces-laptop");
    let provenance: Value = serde_json::from_slice(&fs::read(run.join("provenance.json")).unwrap()).unwrap();
    assert_eq!(provenance["data"][0]["left_out"], serde_json::json!(["07.bmp", "42.bmp"]));
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("The same latents in every generation") && run.join("figures/latents.png").exists());
    let cell = fs::read_dir(run.join("cells")).unwrap().next().unwrap().unwrap().path();
    let strip = |t: u32| fs::read(cell.join(format!("gen-{t:04}/latents.png"))).unwrap();
    assert!(strip(1) != strip(2) && !cell.join("gen-0000/latents.png").exists());
}

#[test]
fn too_many_latents_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = madloop(folder.path()).args(["run", "quickstart", "--set", "report.latents=33"]).assert().code(1);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("report.latents") && said.contains("32"), "{said}");
}
