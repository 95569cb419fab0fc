//! Trains a LeNet on labelled images in MNIST's format and writes its weights:
//! `cargo run --release -p madloop-neural --example train_lenet -- --images FILE --labels FILE -o OUT
//! [--test-images FILE --test-labels FILE] [--epochs N] [--batch N] [--learning-rate X] [--shift N] [--seed N]`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it says what it does")]
#![expect(clippy::disallowed_methods, reason = "it reads and writes files")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use flate2::read::GzDecoder;
use madloop_core::{Cancel, Samples, Seeds, Shape, Stopwatch};
use madloop_neural::{LenetConfig, train_lenet};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const KEYS: [&str; 10] = [
    "--images",
    "--labels",
    "--epochs",
    "--batch",
    "--learning-rate",
    "--shift",
    "--seed",
    "--test-images",
    "--test-labels",
    "-o",
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut given = BTreeMap::new();
    for pair in arguments.chunks(2) {
        match pair {
            [key, value] if KEYS.contains(&key.as_str()) => given.insert(key.clone(), value.clone()),
            _ => return Err(format!("{} is not understood; use {} each with a value", pair[0], KEYS.join(", ")).into()),
        };
    }
    let default = LenetConfig::default();
    let config = LenetConfig {
        epochs: number(&given, "--epochs", default.epochs)?,
        batch: number(&given, "--batch", default.batch)?,
        learning_rate: number(&given, "--learning-rate", default.learning_rate)?,
        shift: number(&given, "--shift", default.shift)?,
    };
    let seed = number(&given, "--seed", 0)?;
    let training = read(needed(&given, "--images")?, needed(&given, "--labels")?)?;
    let out = needed(&given, "-o")?;

    let clock = Stopwatch::new();
    let shown = Cell::new(0);
    let progress = |progress: madloop_core::Progress| {
        let fraction = progress.done as f64 / progress.of as f64;
        let percent = (100.0 * fraction) as u32;
        if percent >= shown.get() + 5 {
            shown.set(percent);
            eprintln!("{percent} % after {:.0} s", clock.seconds());
        }
    };
    let lenet = train_lenet(&training, &config, Seeds::new(seed), &Cancel::default(), &progress)?;
    // Where files lay on the machine that made it does not concern anybody.
    let name = |key: &str| -> Result<String> { Ok(bare(needed(&given, key)?)) };
    let lenet = lenet.with_command(&format!(
        "cargo run --release -p madloop-neural --example train_lenet -- --images {} --labels {} --epochs {} --batch {} \
         --learning-rate {} --shift {} --seed {seed} -o {}",
        name("--images")?,
        name("--labels")?,
        config.epochs,
        config.batch,
        config.learning_rate,
        config.shift,
        name("-o")?
    ))?;
    std::fs::write(out, lenet.save())?;
    println!("{out}: {} bytes, sha256 {}", lenet.save().len(), lenet.sha256());
    println!("training accuracy {:.4}, {:.0} s", lenet.accuracy(&training)?, clock.seconds());
    if given.contains_key("--test-images") {
        let test = read(needed(&given, "--test-images")?, needed(&given, "--test-labels")?)?;
        println!("test accuracy {:.4} on {} images", lenet.accuracy(&test)?, test.len());
    }
    Ok(())
}

fn needed<'a>(given: &'a BTreeMap<String, String>, key: &str) -> Result<&'a str> {
    given.get(key).map(String::as_str).ok_or_else(|| format!("{key} is missing").into())
}

fn number<T: FromStr>(given: &BTreeMap<String, String>, key: &str, default: T) -> Result<T> {
    let Some(text) = given.get(key) else { return Ok(default) };
    text.parse().map_err(|_| format!("{key} {text} is not a number that it takes").into())
}

fn bare(path: &str) -> String {
    Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(images: &str, labels: &str) -> Result<Samples> {
    let (sides, pixels) = idx(images)?;
    let [_, height, width] = sides[..] else { return Err(format!("{images}: it does not hold images").into()) };
    let shape = Shape::Image { channels: 1, height, width };
    let labels = idx(labels)?.1.into_iter().map(u32::from).collect();
    Ok(Samples::from_u8(shape, pixels)?.with_labels(labels)?)
}

/// Sides and bytes of an IDX file (two bytes 0, the type 8, the number of sides, the sides in 4 bytes each), gzipped or not.
fn idx(path: &str) -> Result<(Vec<usize>, Vec<u8>)> {
    let mut bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(&bytes[..]).read_to_end(&mut plain).map_err(|error| format!("{path}: {error}"))?;
        bytes = plain;
    }
    let wrong = || format!("{path}: it is not an IDX file of bytes");
    let &[0, 0, 8, n, ..] = &bytes[..] else { return Err(wrong().into()) };
    let head = 4 + 4 * usize::from(n);
    let sides: Vec<usize> = bytes
        .get(4..head)
        .ok_or_else(wrong)?
        .as_chunks()
        .0
        .iter()
        .map(|side| u32::from_be_bytes(*side) as usize)
        .collect();
    let values = bytes.split_off(head);
    if sides.iter().product::<usize>() != values.len() {
        return Err(format!("{path}: {} values for the sides {sides:?}", values.len()).into());
    }
    Ok((sides, values))
}
