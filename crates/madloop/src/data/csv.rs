//! Tables of numbers as .csv or .tsv, with or without a header row, gzip or not.

use std::io::Read;
use std::path::Path;

use madloop_core::Shape;

use super::array::{check_finite, label};
use super::idx::open_maybe_gz;
use super::limits::{MAX_SAMPLES, check_memory, unpacked_limit};
use super::loaded::{Buffer, Loaded};
use super::stream::Batches;
use crate::{Error, Result};

/// Columns of a header that hold class labels.
const LABELS: [&str; 3] = ["label", "labels", "class"];

/// The mark with which some programs begin a file.
const BOM: char = '\u{feff}';

fn number(field: &str) -> Option<f64> {
    field.trim_start_matches(BOM).parse().ok()
}

/// Reads a table. The first row is a header if any of its fields is no number; a column it calls label, labels or class
/// (in any case) holds the labels. Fields are separated by commas, or by tabs in .tsv files.
pub(crate) fn load(path: &Path) -> Result<Loaded> {
    let mut labels = Vec::new();
    let mut whole = Vec::new();
    let mut has_labels = false;
    let dim = parse(path, |line| {
        whole.extend_from_slice(line.values);
        if let Some(value) = line.label {
            has_labels = true;
            labels.push(label(path, line.row, value)?);
        }
        check_memory(path, line.row as u64 + 1, 4 * whole.len() as u128)
    })?;
    check_finite(path, &whole, dim, 0)?;
    let labels = has_labels.then_some(labels);
    Ok(Loaded { shape: Shape::vector(dim), buffer: Buffer::F32(whole), labels })
}

/// Hands over the rows of a table.
pub(crate) fn stream(path: &Path, batches: &mut Batches<'_>) -> Result<()> {
    let mut waiting: Vec<f32> = Vec::new();
    let (mut first, mut rows) = (0, 0);
    let hand_over = |values: Vec<f32>, dim: usize, first: usize, batches: &mut Batches<'_>| {
        check_finite(path, &values, dim, first)?;
        batches.push(Loaded { shape: Shape::vector(dim), buffer: Buffer::F32(values), labels: None })
    };
    let dim = parse(path, |line| {
        let dim = line.values.len();
        if line.row == 0 && dim > 0 {
            rows = batches.begin(Shape::vector(dim))?;
        }
        if let Some(value) = line.label {
            label(path, line.row, value)?;
        }
        waiting.extend_from_slice(line.values);
        if dim > 0 && waiting.len() == rows * dim {
            hand_over(std::mem::take(&mut waiting), dim, first, batches)?;
            first = line.row + 1;
        }
        check_memory(path, line.row as u64 + 1, 0)
    })?;
    if waiting.is_empty() { Ok(()) } else { hand_over(waiting, dim, first, batches) }
}

/// A row of a table.
struct Line<'a> {
    row: usize,
    values: &'a [f32],
    label: Option<f64>,
}

/// Reads a table row by row; returns the number of values a row.
fn parse(path: &Path, mut each: impl FnMut(Line<'_>) -> Result<()>) -> Result<usize> {
    let (reader, held, is_gz) = open_maybe_gz(path)?;
    let limit = if is_gz { unpacked_limit(held) } else { held };
    let mut reader = reader.take(limit);
    let is_tsv = path.to_string_lossy().trim_end_matches(".gz").ends_with(".tsv");
    let delimiter = if is_tsv { b'\t' } else { b',' };
    let mut table = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter)
        .from_reader(&mut reader);
    let mut record = csv::StringRecord::new();
    let mut values = Vec::new();
    let (mut columns, mut label_column, mut rows) = (0, None, 0_u64);
    let mut is_first = true;
    while table.read_record(&mut record).map_err(|error| {
        Error::bad_file(path, error.to_string(), "give a table of numbers in UTF-8, one sample a row")
    })? {
        if std::mem::take(&mut is_first) {
            columns = record.len();
            if record.iter().any(|field| number(field).is_none()) {
                let is_label = |name: &str| LABELS.contains(&name.trim_start_matches(BOM).to_lowercase().as_str());
                label_column = record.iter().position(is_label);
                continue;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != columns {
            let why = format!("line {line} has {} columns, the lines before {columns}", record.len());
            return Err(Error::bad_file(path, why, "give every row the same number of columns"));
        }
        values.clear();
        let mut label = None;
        for (column, field) in record.iter().enumerate() {
            let value = number(field).ok_or_else(|| {
                let why = format!("line {line}, column {} is {field:?}, which is no number", column + 1);
                Error::bad_file(path, why, "give numbers alone; only the first row may be a header")
            })?;
            if Some(column) == label_column {
                label = Some(value);
            } else {
                values.push(value as f32);
            }
        }
        each(Line { row: rows as usize, values: &values, label })?;
        rows += 1;
    }
    drop(table);
    if is_gz && reader.limit() == 0 {
        let why = format!("its {held} bytes unpack to more than the limit of {limit} bytes");
        return Err(Error::bad_file(path, why, "if the file can be trusted, unpack it and give the unpacked file"));
    }
    let dim = columns - usize::from(label_column.is_some());
    if rows == 0 || dim == 0 {
        let why = format!("the table has {rows} rows of {dim} values (at most {MAX_SAMPLES} rows)");
        return Err(Error::bad_file(path, why, "give at least one row and one column of numbers"));
    }
    Ok(dim)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::data::{ReadOptions, read_samples};

    #[test]
    fn tables_round_trip_and_bad_ones_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.csv");
        let read = |text: &str| {
            fs::write(&path, text).expect("a file");
            read_samples(&path, &ReadOptions::default())
        };
        let plain = read("1,2\n3, -4.5e0\n").expect("a table");
        assert_eq!((plain.to_f32(), plain.labels()), (vec![1.0, 2.0, 3.0, -4.5], None));
        let headed = read("a,Label,b\r\n1,7,2\r\n3,8,4\r\n\r\n").expect("a table");
        assert_eq!((headed.to_f32(), headed.labels()), (vec![1.0, 2.0, 3.0, 4.0], Some(&[7, 8][..])));
        let bom = read("\u{feff}1,2\n3,4\n").expect("a table");
        assert_eq!(bom.len(), 2);
        for (text, expected) in [
            ("", "0 rows"),
            ("a,b\n", "0 rows"),
            ("1,2\n3\n", "line 2 has 1 columns, the lines before 2"),
            ("1,2\n3,x\n", "line 2, column 2 is \"x\""),
            ("1,2\n3,nan\n", "row 1, column 1 is NaN"),
            ("1,2\n1e99,3\n", "row 1, column 0 is inf"),
            ("class,a\n1.5,2\n", "label of row 0 is 1.5"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("x.csv"), "{error}");
        }
        let path = folder.path().join("x.tsv");
        fs::write(&path, "1\t2\n").expect("a file");
        assert_eq!(read_samples(&path, &ReadOptions::default()).expect("a table").to_f32(), [1.0, 2.0]);
    }
}
