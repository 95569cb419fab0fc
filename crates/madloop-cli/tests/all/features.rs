//! Feature maps of one's own.

use std::path::Path;

use crate::common::*;

/// Trains on the embedded digits, briefly; returns what was said.
fn train(folder: &Path, file: &str, more: &[&str]) -> String {
    let mut command = madloop(folder);
    command.args(["features", "train", "digits8", "--epochs", "2", "-o", file]).args(more);
    String::from_utf8(command.assert().success().get_output().stderr.clone()).unwrap()
}

#[test]
fn a_trained_map_scores_runs_and_remembers_its_command() {
    let folder = tempfile::tempdir().unwrap();
    let said = train(folder.path(), "mine.safetensors", &["--seed", "3"]);
    assert!(said.contains("trained on 1297 samples") && said.contains("% of 500 samples"), "{said}");
    std::fs::create_dir(folder.path().join("again")).unwrap();
    train(folder.path(), "again/mine.safetensors", &["--seed", "3"]);
    train(folder.path(), "other.safetensors", &["--seed", "4"]);
    let bytes = |file: &str| std::fs::read(folder.path().join(file)).unwrap();
    assert!(bytes("again/mine.safetensors") == bytes("mine.safetensors"));
    assert!(bytes("other.safetensors") != bytes("mine.safetensors"));
    let text = String::from_utf8_lossy(&bytes("mine.safetensors")).into_owned();
    let command = "madloop features train digits8 --epochs 2 --batch 128 --learning-rate 0.002 --shift 2 --seed 3 -o mine.safetensors";
    assert!(text.contains(command), "{}", &text[..600]);

    let features = "score.features=lenet:mine.safetensors";
    run(folder.path(), &["quickstart", "--scale", "smoke", "--set", features, "--out", "scored"]);
    let provenance = std::fs::read(folder.path().join("scored/provenance.json")).unwrap();
    let provenance: serde_json::Value = serde_json::from_slice(&provenance).unwrap();
    let sha256 = provenance["features"]["lenet:mine.safetensors"].as_str().unwrap();
    assert!(said.contains(sha256), "{sha256}: {said}");
}

#[test]
fn bad_input_is_told_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let told = |arguments: &[&str]| {
        let output = madloop(folder.path()).args(["features", "train"]).args(arguments).assert().code(1);
        String::from_utf8(output.get_output().stderr.clone()).unwrap()
    };
    let cases = [
        (vec!["nowhere", "-o", "a"], "fashion-mnist"),
        (vec!["mnits", "-o", "a"], "did you mean \"mnist\""),
        (vec!["digits8", "-o", "no/folder/a"], "there is no folder no/folder"),
        (vec!["digits8", "-o", "a", "--test", "b"], "leave --test out"),
        (vec!["digits8", "-o", "a", "--epochs", "0"], "epochs is 0"),
        (vec!["digits8", "-o", "a", "--batch", "18446744073709551615"], "give 1 to 1,000,000"),
        (vec!["digits8", "-o", "a", "--learning-rate", "0"], "learning_rate is 0"),
        (vec!["digits8", "-o", "a", "--resize", "4"], "resize"),
    ];
    for (arguments, expected) in cases {
        let said = told(&arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    assert!(!folder.path().join("a").exists());
}
