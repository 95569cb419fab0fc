//! What StyleGAN2 on faces must show, at smoke scale and on seeds fixed in advance.

use crate::common::*;

#[test]
fn faces_lose_their_variety() {
    let Some(data) = shared_data("faces") else { return };
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["fig1", "--scale", "smoke", "--data-dir", data.to_str().unwrap(), "--set", "sweep.seeds=2", "--threads", "1"];
    let records = run(folder.path(), &arguments);
    // Everything is addressed by the seed, so the outcome is fixed; the margins are several times what other seeds differ by.
    let recalls = curves(&records, "recall");
    assert_eq!(recalls.len(), 2);
    for recall in recalls.values() {
        assert!(recall[0].1 > 0.03 && recall[2].1 < 0.35 * recall[0].1, "{recall:?}");
    }
    for distance in curves(&records, "frechet_distance").values() {
        assert!(distance[2].1 > 1.3 * distance[0].1, "{distance:?}");
    }
    let run = folder.path().join("runs/fig1-smoke");
    assert!(run.join("figures/latents.svg").is_file() && run.join("figures/samples.png").is_file());
    let cell = run.join("cells").read_dir().unwrap().next().unwrap().unwrap().path();
    let head = std::fs::read(cell.join("gen-0003/samples.npy")).unwrap();
    assert!(String::from_utf8_lossy(&head[..128]).contains("|u1"), "generated images are kept as u8");
}
