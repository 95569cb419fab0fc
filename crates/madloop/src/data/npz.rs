//! NumPy's .npz: a zip of .npy files.

use std::path::Path;

use super::archive::zip_error;
use super::array::{read_array, read_labels};
use super::limits::check_unpacked;
use super::loaded::Loaded;
use super::map::FileView;
use super::npy::read_header;
use super::stream::Batches;
use crate::{Error, Result};

pub(crate) use super::archive::open_zip;
pub(crate) use super::array::{Layout, Number, read_f64};

/// Names of arrays that hold class labels.
pub(crate) const LABELS: [&str; 2] = ["labels", "y"];

/// A zip file.
pub(crate) type Archive = zip::ZipArchive<FileView>;

/// Whether the archive holds arrays rather than images.
pub(crate) fn is_npz(archive: &Archive) -> bool {
    names(archive).next().is_some()
}

/// Reads `arr_0`, or else the first array that is no labels; with the array called `labels` or `y`, if there is one.
pub(crate) fn load(path: &Path, archive: &mut Archive, packed: u64) -> Result<Loaded> {
    let samples = samples(path, archive)?;
    let loaded = open_member(path, archive, &samples, packed, |path, layout, reader| read_array(path, layout, reader))?;
    let arrays: Vec<(usize, String)> = names(archive).collect();
    match LABELS.iter().find_map(|wanted| arrays.iter().find(|(_, name)| name == wanted)) {
        None => Ok(loaded),
        Some(labels) => {
            let labels =
                open_member(path, archive, labels, packed, |path, layout, reader| read_labels(path, layout, reader))?;
            loaded.with_labels(path, labels)
        }
    }
}

/// Hands over the rows of the same array.
pub(crate) fn stream(path: &Path, archive: &mut Archive, packed: u64, batches: &mut Batches<'_>) -> Result<()> {
    let samples = samples(path, archive)?;
    open_member(path, archive, &samples, packed, |path, layout, reader| batches.array(path, layout, reader))
}

/// Index and name of the array of samples.
fn samples(path: &Path, archive: &Archive) -> Result<(usize, String)> {
    let arrays: Vec<(usize, String)> = names(archive).collect();
    let of_name = |wanted: &str| arrays.iter().find(|(_, name)| name == wanted);
    let is_labels = |name: &str| LABELS.contains(&name);
    let samples = of_name("arr_0").or_else(|| arrays.iter().find(|(_, name)| !is_labels(name)));
    let Some(samples) = samples else {
        return Err(Error::bad_file(path, "it holds no array of samples", "save it with numpy.savez(file, samples)"));
    };
    if of_name("arr_0").is_none() && of_name("mu").is_some() && of_name("sigma").is_some() {
        let why = "it holds the statistics mu and sigma, not samples";
        let remedy = "give the samples themselves, as .npy or .npz of an array (statistics are for madloop score and \
                      madloop stats merge)";
        return Err(Error::bad_file(path, why, remedy));
    }
    Ok(samples.clone())
}

/// Indices and names of the arrays, in the file's order.
pub(crate) fn names(archive: &Archive) -> impl Iterator<Item = (usize, String)> {
    let names = (0..archive.len()).filter_map(|index| Some((index, archive.name_for_index(index)?.ok()?)));
    names.filter_map(|(index, name)| Some((index, name.strip_suffix(".npy")?.to_owned())))
}

/// A member of a zip, up to the size that it declares.
pub(crate) type Member<'a> = std::io::Take<zip::read::ZipFile<'a, FileView>>;

/// Reads one array of an archive of `packed` bytes: `read` gets the member's path, its layout and its numbers.
pub(crate) fn open_member<T>(
    path: &Path,
    archive: &mut Archive,
    (index, name): &(usize, String),
    packed: u64,
    read: impl FnOnce(&Path, &Layout, &mut Member<'_>) -> Result<T>,
) -> Result<T> {
    use std::io::Read;
    let member = archive.by_index(*index).map_err(|error| zip_error(path, error))?;
    let claimed = member.size();
    check_unpacked(path, u128::from(claimed), packed)?;
    let path = path.join(format!("{name}.npy"));
    // Not a byte beyond what the archive declares.
    let mut member = member.take(claimed);
    let (layout, start) = read_header(&path, &mut member)?;
    if layout.bytes() != u128::from(claimed.saturating_sub(start)) {
        return Err(layout.size_error(&path, u128::from(claimed.saturating_sub(start))));
    }
    read(&path, &layout, &mut member)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;
    use crate::data::{ReadOptions, read_samples};

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), data].concat()
    }

    fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
        let mut zip = zip::ZipWriter::new(File::create(path).expect("a file"));
        for (name, bytes) in arrays {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).expect("a member");
            zip.write_all(bytes).expect("its bytes");
        }
        zip.finish().expect("a whole zip");
    }

    #[test]
    fn arrays_and_labels_round_trip() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.npz");
        let pixels: Vec<u8> = (0..16).collect();
        let images = npy("|u1", "(4, 2, 2)", &pixels);
        let labels: Vec<u8> = [3_i64, 1, 0, 1].iter().flat_map(|label| label.to_le_bytes()).collect();
        let labels = npy("<i8", "(4,)", &labels);
        npz(&path, &[("y.npy", labels.clone()), ("x.npy", images.clone())]);
        let set = read_samples(&path, &ReadOptions::default()).expect("images");
        assert_eq!(set.as_u8(), Some(&pixels[..]));
        assert_eq!(set.labels(), Some(&[3, 1, 0, 1][..]));
        npz(&path, &[("x.npy", npy("<i8", "(9,)", &[])), ("arr_0.npy", images.clone())]);
        let set = read_samples(&path, &ReadOptions::default()).expect("arr_0 goes first");
        assert_eq!((set.len(), set.labels()), (4, None));
        npz(&path, &[("arr_0.npy", npy("|u1", "(2, 2, 2)", &pixels[..8])), ("labels.npy", labels)]);
        let error = read_samples(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(error.contains("4 labels for 2 samples"), "{error}");
        npz(&path, &[("x.npy", images)]);
        let bytes = fs::read(&path).expect("the file");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("half of it");
        assert!(read_samples(&path, &ReadOptions::default()).unwrap_err().to_string().contains("x.npz"));
    }

    #[test]
    fn claims_are_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.npz");
        let message = || read_samples(&path, &ReadOptions::default()).unwrap_err().to_string();
        npz(&path, &[("x.npy", npy("<f4", "(60000, 784)", &[0; 40]))]);
        assert!(message().contains("truncated: header says 60000 x 784") && message().contains("holds 40"));
        npz(&path, &[("mu.npy", npy("<f8", "(1,)", &[0; 8])), ("sigma.npy", npy("<f8", "(1, 1)", &[0; 8]))]);
        assert!(message().contains("statistics"));
        npz(&path, &[("x.npy", npy("|O", "(3,)", b"cos\nsystem"))]);
        assert!(message().contains("pickled"));
    }
}
