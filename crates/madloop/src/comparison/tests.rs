//! The cache of references.

#![allow(clippy::disallowed_methods, reason = "tests write files")]

use super::*;

fn set(seed: u32, rows: usize, dim: usize) -> Features {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65_536.0
    };
    Features { rows, dim, values: (0..rows * dim).map(|_| next() + next() * next()).collect() }
}

fn names() -> Vec<String> {
    ["frechet_distance", "kid", "recall", "precision"].map(str::to_owned).to_vec()
}

fn scored(cache: &Cache, key: &str, real: &Features, generated: &Features) -> (Scores, bool) {
    let settings = Settings { generated_rows: Some(generated.rows), ..Settings::default() };
    let (reference, hit) = cache.reference(real.clone(), key, settings, &names()).unwrap();
    (reference.score(generated, &names()).unwrap(), hit)
}

#[test]
fn a_second_comparison_finds_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("references"), CACHE_LIMIT);
    let (real, generated) = (set(1, 2200, 600), set(2, 1800, 600));
    let (first, hit) = scored(&cache, "a", &real, &generated);
    assert!(!hit);
    let (second, hit) = scored(&cache, "a", &real, &generated);
    assert!(hit);
    assert_eq!(first, second);
    assert!(!scored(&cache, "b", &real, &generated).1, "another set");
    // A damaged file is done again.
    let files = || std::fs::read_dir(folder.path().join("references")).unwrap().map(|file| file.unwrap().path());
    assert_eq!(files().count(), 2);
    for file in files() {
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let (third, hit) = scored(&cache, "a", &real, &generated);
    assert!(!hit);
    assert_eq!(first, third);
    assert!(scored(&cache, "a", &real, &generated).1);
}

#[test]
fn the_cache_stays_within_its_limit_and_small_sets_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let generated = set(2, 60, 600);
    let real = set(1, 2200, 600);
    // One file holds the root of a 600 x 600 covariance: 2.9 MB.
    let cache = Cache::new(folder.path().to_owned(), 4_000_000);
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    // Somebody's own file is older and larger, and stays.
    let foreign = folder.path().join("my-model.safetensors");
    std::fs::File::create(&foreign).unwrap().set_len(8_000_000).unwrap();
    scored(&cache, "a", &real, &generated);
    scored(&cache, "b", &real, &generated);
    assert!(foreign.exists());
    std::fs::remove_file(foreign).unwrap();
    assert_eq!(files(), 1);
    assert!(scored(&cache, "b", &real, &generated).1);
    assert!(!scored(&cache, "small", &generated, &generated).1);
    assert_eq!(files(), 1);
    // Where nothing can be written the work is done all the same.
    let blocked = folder.path().join("a-file");
    std::fs::write(&blocked, "x").unwrap();
    assert!(!scored(&Cache::new(blocked, CACHE_LIMIT), "a", &real, &generated).1);
}
