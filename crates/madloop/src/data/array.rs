//! Arrays of .npy, .npz, .safetensors and IDX files: number types, shapes, and their conversion to samples.

use std::fmt;
use std::io::Read;
use std::path::Path;

use madloop_core::Shape;

use super::limits::{MAX_CLASSES, MAX_SAMPLES, check_memory, zeroed};
use super::loaded::{Buffer, Loaded};
use super::map::CHECK_PATH;
use crate::{Error, Result};

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    /// Bytes of one number.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    pub(crate) fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// The number in the low bytes of `bits`, as f64 (integers beyond 2^53 are rounded).
    fn to_f64(self, bits: u64) -> f64 {
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => bits as f64,
            Self::I8 => f64::from(bits as u8 as i8),
            Self::I16 => f64::from(bits as u16 as i16),
            Self::I32 => f64::from(bits as u32 as i32),
            Self::I64 => bits as i64 as f64,
            Self::F16 => half_to_f64(bits as u16),
            Self::Bf16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Self::F32 => f64::from(f32::from_bits(bits as u32)),
            Self::F64 => f64::from_bits(bits),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U64 => "uint64",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
        })
    }
}

/// IEEE 754 binary16: sign, 5 bits of exponent (bias 15), 10 bits of fraction.
fn half_to_f64(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15),
    }
}

/// How an array lies in a file.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Type of the numbers.
    pub(crate) number: Number,
    /// Whether they are big-endian.
    pub(crate) big_endian: bool,
    /// Length along each axis.
    pub(crate) dims: Vec<u64>,
    /// Whether the first axis runs fastest.
    pub(crate) fortran: bool,
}

impl Layout {
    /// Numbers in the array, which may be absurd.
    pub(crate) fn len(&self) -> u128 {
        self.dims.iter().fold(1_u128, |product, &dim| product.saturating_mul(u128::from(dim)))
    }

    /// Bytes of the array, which may be absurd.
    pub(crate) fn bytes(&self) -> u128 {
        self.len().saturating_mul(self.number.width() as u128)
    }

    /// `60000 x 28 x 28 = 47040000 bytes`.
    pub(crate) fn claim(&self) -> String {
        let dims: Vec<String> = self.dims.iter().map(u64::to_string).collect();
        match self.number.width() {
            1 => format!("{} = {} bytes", dims.join(" x "), self.bytes()),
            width => format!("{} numbers of {width} bytes = {} bytes", dims.join(" x "), self.bytes()),
        }
    }

    /// The error of a file that holds `held` bytes of data instead of [`Self::bytes`].
    pub(crate) fn size_error(&self, path: &Path, held: u128) -> Error {
        let what = if held < self.bytes() { "truncated" } else { "too long" };
        let why = format!("{what}: header says {}, file holds {held}", self.claim());
        Error::bad_file(path, why, "make or download the file again")
    }

    /// Shape of one sample of `[n, d]` floats, `[n, h, w]` or `[n, h, w, c]` images, or `[n, h, w, c]` floats of other channels,
    /// which are features in a row.
    pub(crate) fn sample_shape(&self, path: &Path) -> Result<Shape> {
        let dims = &self.dims;
        let bad = |why: String, remedy: &str| Err(Error::bad_file(path, why, remedy));
        if dims.contains(&0) {
            return bad(format!("an array of shape {dims:?} holds no samples"), "give at least one sample");
        }
        if self.number != Number::U8 && !self.number.is_float() {
            let remedy = "save images as uint8 and features as float32";
            return bad(format!("its numbers are {}", self.number), remedy);
        }
        if dims.first().is_some_and(|&n| n > MAX_SAMPLES) {
            check_memory(path, dims[0], 0)?;
        }
        if self.len() > 1 << 48 {
            return bad(format!("an array of shape {dims:?} cannot be held"), "give a part of it");
        }
        match dims[..] {
            [_, dim] if self.number.is_float() => Ok(Shape::vector(dim as usize)),
            [n, dim] => bad(
                format!("its shape is [{n}, {dim}] of uint8"),
                "save features as float32, or images as uint8 of shape [n, height, width] or [n, height, width, channels]",
            ),
            [_, height, width] => Ok(Shape::Image { channels: 1, height: height as usize, width: width as usize }),
            [_, height, width, channels @ (1 | 3)] => {
                Ok(Shape::Image { channels: channels as usize, height: height as usize, width: width as usize })
            }
            // Spatial features, such as those of sFID; images in the order [n, c, h, w] would have 1 or 3 there.
            [_, height, width, channels] if self.number.is_float() && !matches!(height, 1 | 3) => {
                Ok(Shape::vector((height * width * channels) as usize))
            }
            [_, _, _, channels] => bad(
                format!("its shape is {dims:?}, so images would have {channels} channels"),
                "order the axes as [n, height, width, channels] with 1 or 3 channels (from [n, c, h, w]: transpose to \
                 (0, 2, 3, 1))",
            ),
            _ => bad(
                format!("its shape is {dims:?}"),
                "save [n, d] features, or images of shape [n, height, width] or [n, height, width, channels]",
            ),
        }
    }
}

/// Reads the array that follows in `reader`, uint8 images as they are and floats as f32.
pub(crate) fn read_array(path: &Path, layout: &Layout, mut reader: impl Read) -> Result<Loaded> {
    let shape = layout.sample_shape(path)?;
    let in_memory = if layout.number == Number::U8 { 1 } else { 4 };
    check_memory(path, layout.dims[0], layout.len() * in_memory)?;
    let len = layout.len() as usize;
    let buffer = if layout.number == Number::U8 {
        let mut values = zeroed(path, len)?;
        fill(path, layout, &mut reader, &mut values, 0)?;
        Buffer::U8(in_c_order(path, layout, values)?)
    } else {
        let mut values = zeroed::<f32>(path, len)?;
        let width = layout.number.width();
        let mut bytes = vec![0; width * (1 << 16)];
        for (chunk, values) in values.chunks_mut(1 << 16).enumerate() {
            let bytes = &mut bytes[..values.len() * width];
            fill(path, layout, &mut reader, bytes, chunk * width * (1 << 16))?;
            convert(layout, bytes, values);
        }
        let values = in_c_order(path, layout, values)?;
        check_finite(path, &values, shape.len(), 0)?;
        Buffer::F32(values)
    };
    Ok(Loaded { shape, buffer, labels: None })
}

/// The numbers in `bytes` as f32, one for each of `out`.
pub(crate) fn convert(layout: &Layout, bytes: &[u8], out: &mut [f32]) {
    let numbers = bytes.chunks_exact(layout.number.width());
    if layout.number == Number::F32 && !layout.big_endian {
        // The usual case, at the speed of memory.
        out.iter_mut().zip(bytes.as_chunks().0).for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes));
        return;
    }
    for (value, bytes) in out.iter_mut().zip(numbers) {
        *value = layout.number.to_f64(bits(bytes, layout.big_endian)) as f32;
    }
}

/// Reads the array that follows in `reader` as f64, in C order.
pub(crate) fn read_f64(path: &Path, layout: &Layout, mut reader: impl Read) -> Result<Vec<f64>> {
    check_memory(path, 0, layout.len().saturating_mul(8))?;
    let mut values = zeroed::<f64>(path, layout.len() as usize)?;
    let width = layout.number.width();
    let mut bytes = vec![0; width * (1 << 13)];
    for (chunk, values) in values.chunks_mut(1 << 13).enumerate() {
        let bytes = &mut bytes[..values.len() * width];
        fill(path, layout, &mut reader, bytes, chunk * width * (1 << 13))?;
        for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(width)) {
            *value = layout.number.to_f64(bits(bytes, layout.big_endian));
        }
    }
    in_c_order(path, layout, values)
}

/// Reads an array of whole numbers as class labels.
pub(crate) fn read_labels(path: &Path, layout: &Layout, mut reader: impl Read) -> Result<Vec<u32>> {
    if layout.dims.len() != 1 || layout.number.is_float() {
        let why = format!("the labels are {} of shape {:?}", layout.number, layout.dims);
        return Err(Error::bad_file(path, why, "save labels as a list of whole numbers, one a sample"));
    }
    check_memory(path, layout.dims[0], layout.bytes())?;
    let mut bytes = zeroed(path, layout.bytes() as usize)?;
    fill(path, layout, &mut reader, &mut bytes, 0)?;
    let values = bytes.chunks_exact(layout.number.width());
    values
        .enumerate()
        .map(|(row, bytes)| label(path, row, layout.number.to_f64(bits(bytes, layout.big_endian))))
        .collect()
}

/// A class label, if `value` is one.
pub(crate) fn label(path: &Path, row: usize, value: f64) -> Result<u32> {
    if value.fract() == 0.0 && (0.0..f64::from(MAX_CLASSES)).contains(&value) {
        return Ok(value as u32);
    }
    let why = format!("the label of row {row} is {value}");
    Err(Error::bad_file(path, why, format!("labels are whole numbers from 0 to {}", MAX_CLASSES - 1)))
}

/// The first value that is not finite, as an error; `first` is the number of the first row.
pub(crate) fn check_finite(path: &Path, values: &[f32], dim: usize, first: usize) -> Result<()> {
    let Some(at) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    Err(Error::bad_file(
        path,
        format!("row {}, column {} is {} (counted from 0)", first + at / dim, at % dim, values[at]),
        "every value must be finite (in f32, whose largest is 3.4e38); repair or remove the row",
    ))
}

fn bits(bytes: &[u8], big_endian: bool) -> u64 {
    let fold = |bits: u64, &byte: &u8| bits << 8 | u64::from(byte);
    if big_endian { bytes.iter().fold(0, fold) } else { bytes.iter().rev().fold(0, fold) }
}

/// Fills `out`, which begins `before` bytes into the array.
pub(crate) fn fill(path: &Path, layout: &Layout, reader: &mut impl Read, out: &mut [u8], before: usize) -> Result<()> {
    let mut at = 0;
    while at < out.len() {
        match reader.read(&mut out[at..]) {
            Ok(0) => return Err(layout.size_error(path, (before + at) as u128)),
            Ok(read) => at += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", path, CHECK_PATH)(error)),
        }
    }
    Ok(())
}

/// The same array with the last axis running fastest.
fn in_c_order<T: Copy + Default>(path: &Path, layout: &Layout, values: Vec<T>) -> Result<Vec<T>> {
    if !layout.fortran || layout.dims.len() < 2 {
        return Ok(values);
    }
    let dims: Vec<usize> = layout.dims.iter().map(|&dim| dim as usize).collect();
    let mut out = zeroed(path, values.len())?;
    let mut index = vec![0; dims.len()];
    for &value in &values {
        let place = index.iter().zip(&dims).fold(0, |place, (&at, &dim)| place * dim + at);
        out[place] = value;
        for (at, &dim) in index.iter_mut().zip(&dims) {
            *at += 1;
            if *at < dim {
                break;
            }
            *at = 0;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(number: Number, dims: &[u64]) -> Layout {
        Layout { number, big_endian: false, dims: dims.to_vec(), fortran: false }
    }

    #[test]
    fn half_floats_are_exact() {
        // Sign, exponent and fraction by IEEE 754-2019, table 3.5.
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x0400, 6.103_515_625e-5),
            (0x0000, 0.0),
        ] {
            assert_eq!(half_to_f64(bits), value);
        }
        assert!(half_to_f64(0x7c00).is_infinite() && half_to_f64(0x7e00).is_nan());
    }

    #[test]
    fn number_types_convert() {
        let path = Path::new("x.npy");
        let one = |number, bytes: &[u8]| {
            let set = read_array(path, &layout(number, &[1, 1]), bytes).and_then(Loaded::into_samples);
            set.expect("one number").to_f32()[0]
        };
        assert_eq!(one(Number::F32, &1.5_f32.to_le_bytes()), 1.5);
        assert_eq!(one(Number::F64, &(-2.25_f64).to_le_bytes()), -2.25);
        assert_eq!(one(Number::F16, &0x3c00_u16.to_le_bytes()), 1.0);
        assert_eq!(one(Number::Bf16, &0x3fc0_u16.to_le_bytes()), 1.5);
        let big = Layout { big_endian: true, ..layout(Number::F32, &[1, 1]) };
        let set = read_array(path, &big, &1.5_f32.to_be_bytes()[..]).and_then(Loaded::into_samples);
        assert_eq!(set.expect("one number").to_f32(), [1.5]);
    }

    #[test]
    fn fortran_order_is_transposed() {
        let fortran = Layout { fortran: true, ..layout(Number::U8, &[2, 2, 3]) };
        // a[i][j][k] = 100 i + 10 j + k lies at i + 2 j + 4 k.
        let bytes = [0, 100, 10, 110, 1, 101, 11, 111, 2, 102, 12, 112];
        let set = read_array(Path::new("x.npy"), &fortran, &bytes[..]).and_then(Loaded::into_samples);
        assert_eq!(set.expect("12 bytes").as_u8(), Some(&[0, 1, 2, 10, 11, 12, 100, 101, 102, 110, 111, 112][..]));
    }

    #[test]
    fn labels_are_whole_and_few() {
        let path = Path::new("x.npz");
        let read = |number, bytes: &[u8], n| read_labels(path, &layout(number, &[n]), bytes);
        assert_eq!(read(Number::I64, &7_i64.to_le_bytes(), 1).expect("a label"), [7]);
        assert_eq!(read(Number::U8, &[3, 9], 2).expect("labels"), [3, 9]);
        let error = read(Number::I32, &(-1_i32).to_le_bytes(), 1).unwrap_err().to_string();
        assert!(error.contains("row 0 is -1") && error.contains("65535"), "{error}");
        assert!(read(Number::F32, &[0; 4], 1).unwrap_err().to_string().contains("float32"));
    }

    #[test]
    fn shapes_that_are_no_samples_are_refused_with_a_remedy() {
        let refused =
            |number, dims: &[u64]| layout(number, dims).sample_shape(Path::new("x.npy")).unwrap_err().to_string();
        assert!(refused(Number::U8, &[5, 4]).contains("float32"));
        assert!(refused(Number::U8, &[5, 3, 8, 8]).contains("(0, 2, 3, 1)"));
        assert!(refused(Number::F32, &[5, 3, 8, 8]).contains("(0, 2, 3, 1)"));
        let spatial = layout(Number::F32, &[5, 17, 17, 7]).sample_shape(Path::new("x.npy")).unwrap();
        assert_eq!(spatial, Shape::vector(2023));
        assert!(refused(Number::F32, &[5]).contains("[n, d]"));
        assert!(refused(Number::F32, &[5, 0]).contains("no samples"));
        assert!(refused(Number::I64, &[5, 2]).contains("int64"));
        assert!(refused(Number::F32, &[u64::MAX, u64::MAX]).contains("limit"));
        assert!(refused(Number::F32, &[2, u64::MAX]).contains("cannot be held"));
    }
}
