//! The fuzzer's corpus, replayed, and damaged in ways that are the same in every run.

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/check.rs"]
#[allow(unreachable_pub, reason = "shared with the fuzzer")]
mod check;

/// Damaged inputs; each takes about a tenth of a millisecond.
const MUTANTS: usize = 40_000;
/// Memory that this whole process may ever take; seeds are small, and claims alone must cost nothing.
const MOST_MEMORY: u64 = 512 << 20;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/readers");
    let entries = fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry"));
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let mut files: Vec<_> = entries.map(|entry| (name(&entry), fs::read(entry.path()).expect("a seed"))).collect();
    files.sort();
    files
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// Numbers that headers are apt to trip over.
const HARD: [&[u8]; 10] = [
    &[0xff; 4],
    &[0xff; 8],
    &[0; 4],
    &[0, 0, 0, 0x80],
    &[0x80, 0, 0, 0],
    b"18446744073709551615",
    b"99999999999",
    b"0",
    b"-1",
    &[0, 0, 0xc0, 0x7f],
];

fn mutate(numbers: &mut Numbers, input: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len());
        match numbers.below(7) {
            0 => input[at] = numbers.below(256) as u8,
            1 => input[at] ^= 1 << numbers.below(8),
            2 => input.truncate(at.max(1)),
            3 => {
                let hard = HARD[numbers.below(HARD.len())];
                let end = (at + hard.len()).min(input.len());
                input.splice(at..end, hard.iter().copied());
            }
            4 => {
                let hard = HARD[numbers.below(HARD.len())];
                input.splice(at..at, hard.iter().copied());
            }
            5 => {
                let end = (at + 1 + numbers.below(16)).min(input.len());
                input.drain(at..end);
            }
            // The tail of another seed, such as another archive's directory.
            _ => {
                input.truncate(at.max(1));
                input.extend_from_slice(&other[numbers.below(other.len())..]);
            }
        }
        if input.is_empty() {
            input.push(0);
        }
    }
}

#[test]
fn no_file_makes_a_reader_panic_or_take_much_memory() {
    let corpus = corpus();
    assert!(corpus.len() >= 20, "{} seeds", corpus.len());
    let mut folder = check::Folder::new();
    for (_, seed) in &corpus {
        folder.check(seed);
    }
    let mut numbers = Numbers(1);
    for mutant in 0..MUTANTS {
        let (name, seed) = &corpus[mutant % corpus.len()];
        let mut input = seed.clone();
        let other = &corpus[numbers.below(corpus.len())].1;
        mutate(&mut numbers, &mut input, other);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| folder.check(&input)));
        assert!(checked.is_ok(), "mutant {mutant}, of {name}: {input:?}");
    }
    #[cfg(target_os = "linux")]
    {
        let peak = peak();
        assert!(peak < MOST_MEMORY, "the peak was {peak} bytes");
    }
}

/// Peak memory of this process in bytes.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line of it");
    1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number")
}

#[test]
fn every_seed_is_what_its_name_says() {
    use madloop::data::{ReadOptions, read_samples};
    let folder = tempfile::tempdir().expect("a folder");
    for (name, seed) in corpus() {
        let path = folder.path().join(check::NAMES[usize::from(seed[0])]);
        let is_packed = name.starts_with("packed-");
        let bytes = if is_packed { check::pack(&seed[1..]) } else { seed[1..].to_vec() };
        fs::write(&path, bytes).expect("a file");
        let is_bad = ["npy-object", "npy-structured", "npz-empty"].contains(&name.as_str());
        if is_packed || name.starts_with("stats-") {
            madloop::stats::read(&path).expect("sound").expect("statistics");
        } else if !name.starts_with("found-") {
            assert_eq!(read_samples(&path, &ReadOptions::default()).is_err(), is_bad, "{name}");
        }
    }
}
