// What must hold for every file, whatever it holds; shared by the fuzzer and by the tests of `madloop`.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use madloop::data::{ReadOptions, RowSink, read_samples, stream_samples};
use madloop::{Result, stats};
use madloop_core::{Samples, Shape};

/// Names under which an input is read; the first byte of the input chooses.
pub const NAMES: [&str; 6] = ["x.npy", "x.npz", "x.safetensors", "x-images-idx3-ubyte", "x.csv", "packed.npz"];

/// Members of a packed input, in their order. Each is two bytes of length and its content: packed here, so that changes
/// of the content are not all stopped by the checksums of the zip.
const MEMBERS: [&str; 5] = ["mu", "sigma", "n", "mu_rest", "provenance"];

/// Files beyond this are not read: nothing new is in them.
const MOST: usize = 1 << 16;

/// A folder for one file after the other, in memory where there is such a place.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// A folder of this process's own.
    pub fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let root = base.join(format!("madloop-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("a folder");
        Self { root }
    }

    /// Reads an input whole, in batches and as statistics; panics when a reader breaks its promises.
    pub fn check(&mut self, input: &[u8]) {
        let [kind, bytes @ ..] = input else { return };
        if bytes.len() > MOST {
            return;
        }
        let path = self.root.join(NAMES[usize::from(*kind) % NAMES.len()]);
        let packed = path.ends_with("packed.npz").then(|| pack(bytes));
        std::fs::write(&path, packed.as_deref().unwrap_or(bytes)).expect("a small file");
        check_file(&path);
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// The .npz of a packed input.
pub fn pack(mut bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for name in MEMBERS {
        let [low, high, rest @ ..] = bytes else { break };
        let (member, rest) = rest.split_at(rest.len().min(usize::from(u16::from_le_bytes([*low, *high]))));
        bytes = rest;
        zip.start_file(format!("{name}.npy"), options).expect("a member");
        zip.write_all(member).expect("memory");
    }
    zip.finish().expect("a zip").into_inner()
}

fn check_file(path: &Path) {
    let options = ReadOptions::default();
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let named = |error: &madloop::Error| assert!(error.to_string().contains(&name), "the file is not named: {error}");

    let whole = read_samples(path, &ReadOptions { ignore_labels: true, ..options });
    let mut kept = Kept { shape: None, values: Vec::new() };
    let streamed = stream_samples(path, &options, &mut kept);
    match (&whole, &streamed) {
        (Ok(samples), Ok(())) => {
            assert!(!samples.is_empty() && samples.check_finite("the set").is_ok());
            assert_eq!(kept.shape, Some(samples.shape()));
            assert!(kept.values == samples.to_f32(), "batches and whole differ");
        }
        // Labels may be bad where the samples are not; batches leave them out.
        (Err(error), _) => named(error),
        (Ok(_), Err(error)) => panic!("whole it is read, in batches not: {error}"),
    }
    if let Err(error) = &streamed {
        named(error);
    }
    let _ = read_samples(path, &options).inspect_err(named);

    if name.ends_with(".npz") {
        match stats::read(path) {
            Ok(None) => {}
            Err(error) => named(&error),
            Ok(Some(known)) => {
                let d = known.mean.len();
                assert!(d > 0 && known.covariance.len() == d * d && known.rest.len() == d);
                assert!(known.mean.iter().all(|value| value.is_finite()));
                assert!(known.n == Some(1) || known.covariance.iter().all(|value| value.is_finite()));
                let _ = stats::merge(&[path, path], known.n.is_none().then_some(&[2, 3][..])).inspect_err(named);
            }
        }
    }
}

/// All rows, as they came.
struct Kept {
    shape: Option<Shape>,
    values: Vec<f32>,
}

impl RowSink for Kept {
    fn begin(&mut self, shape: Shape) -> Result<()> {
        self.shape = Some(shape);
        Ok(())
    }

    fn rows(&mut self, rows: &Samples) -> Result<()> {
        self.values.extend(rows.to_f32());
        Ok(())
    }
}
