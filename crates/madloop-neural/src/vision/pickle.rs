//! PyTorch's weights files, read without running anything.
//!
//! Such a file is a pickle, which is a program for a stack machine. Here that machine knows a dictionary of tensors and nothing
//! else: of the names that a pickle may call there are five, none of which is called, and any other is an error that names it. Both
//! containers are read: the zip archive (`torch.save` since 1.6) and the older sequence of pickles with the values behind.

mod machine;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use self::machine::{Kind, Machine, Node};
use super::tensors::{Named, Values};

/// Values of all tensors together.
const MOST_VALUES: usize = 1 << 30;
/// The number that the older container begins with, as a pickle: protocol 2, then a long of 10 bytes.
const MAGIC: [u8; 14] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Whether the bytes begin as one of PyTorch's containers.
pub(super) fn is_pytorch(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(&MAGIC)
}

/// All tensors by name.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Named>, String> {
    if bytes.starts_with(&MAGIC) { read_legacy(bytes) } else { read_zip(bytes) }
}

fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Named>, String> {
    let broken = |error: zip::result::ZipError| format!("its archive cannot be read ({error})");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let names = names.collect::<Result<Vec<String>, _>>().map_err(broken)?;
    let pickle = names.iter().find(|name| name.ends_with("/data.pkl") || *name == "data.pkl");
    let pickle = pickle.ok_or("its archive has no data.pkl, so it is no PyTorch file")?.clone();
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    if let Some(order) = names.iter().find(|name| **name == format!("{folder}byteorder")) {
        let order = member(&mut archive, order)?;
        if order != b"little" {
            return Err("its numbers are not little-endian".into());
        }
    }
    let program = member(&mut archive, &pickle)?;
    let mut machine = Machine::new(&program);
    let found = machine.run()?;
    tensors(&found, |storage| {
        let bytes = member(&mut archive, &format!("{folder}data/{}", storage.key))?;
        Ok(f32s(&bytes))
    })
}

/// A member of the archive, which must lie there unpacked: so nothing grows.
fn member(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Vec<u8>, String> {
    let mut file = archive.by_name(name).map_err(|error| format!("its member {name} cannot be read ({error})"))?;
    if file.compression() != CompressionMethod::Stored {
        return Err(format!("its member {name} is compressed, and PyTorch's are not"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| format!("its member {name} is damaged ({error})"))?;
    Ok(bytes)
}

fn read_legacy(bytes: &[u8]) -> Result<BTreeMap<String, Named>, String> {
    let mut at = MAGIC.len() + 1;
    // The format's version, and the sizes of C's types: what matters of them shows in the values' lengths.
    for _ in 0..2 {
        let mut machine = Machine::new(bytes.get(at..).unwrap_or_default());
        machine.run()?;
        at += machine.at;
    }
    let mut machine = Machine::new(bytes.get(at..).unwrap_or_default());
    let found = machine.run()?;
    at += machine.at;
    let mut machine = Machine::new(bytes.get(at..).unwrap_or_default());
    let keys = machine.run()?;
    at += machine.at;
    let Kind::List(keys) = &keys.kind else { return Err("it has no list of its tensors' values".into()) };
    let mut storages = BTreeMap::new();
    let counts = counts(&found);
    for key in keys {
        let Kind::Text(key) = &key.kind else { return Err("a key of its values is no text".into()) };
        let (claimed, width) = *counts.get(key).ok_or_else(|| format!("the values {key} belong to no tensor"))?;
        let truncated = || format!("it ends within the values {key}");
        let length = bytes.get(at..at + 8).ok_or_else(truncated)?;
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        at += 8;
        if length != claimed as u64 {
            return Err(format!("there are {length} values {key}, and its tensor says {claimed}"));
        }
        let end = claimed.checked_mul(width).and_then(|len| len.checked_add(at)).ok_or_else(truncated)?;
        storages.insert(key.clone(), at..end);
        bytes.get(at..end).ok_or_else(truncated)?;
        at = end;
    }
    if at != bytes.len() {
        return Err(format!("{} bytes follow its last tensor", bytes.len() - at));
    }
    tensors(&found, |storage| {
        let range = storages.get(&storage.key).ok_or_else(|| format!("the values {} are missing", storage.key))?;
        Ok(f32s(&bytes[range.clone()]))
    })
}

/// Numbers of each storage and the bytes of one.
fn counts(found: &Node) -> BTreeMap<String, (usize, usize)> {
    let Kind::Dict(pairs) = &found.kind else { return BTreeMap::new() };
    let of = |(_, value): &(Node, Node)| match &value.kind {
        Kind::Tensor(tensor) => {
            let storage = &tensor.storage;
            Some((storage.key.clone(), (storage.count, storage.width)))
        }
        _ => None,
    };
    pairs.iter().filter_map(of).collect()
}

/// The tensors of a state dictionary, whose values `load` gives.
fn tensors(
    found: &Node,
    mut load: impl FnMut(&Storage) -> Result<Vec<f32>, String>,
) -> Result<BTreeMap<String, Named>, String> {
    let Kind::Dict(pairs) = &found.kind else { return Err("it holds no dictionary of tensors".into()) };
    let (mut all, mut total) = (BTreeMap::new(), 0_usize);
    for (name, value) in pairs {
        let Kind::Text(name) = &name.kind else { return Err("a name in its dictionary is no text".into()) };
        let Kind::Tensor(tensor) = &value.kind else { return Err(format!("{name} in its dictionary is no tensor")) };
        let storage = &tensor.storage;
        let (shape, values) = if storage.kind != FLOAT {
            (tensor.shape.clone(), Values::Other(storage.kind))
        } else {
            let values = load(storage)?;
            if values.len() != storage.count {
                return Err(format!("tensor {name} has {} values instead of {}", values.len(), storage.count));
            }
            let values = tensor.gather(name, &values)?;
            total += values.len();
            if total > MOST_VALUES {
                return Err(format!("its tensors have more than {MOST_VALUES} values"));
            }
            (tensor.shape.clone(), Values::F32(values))
        };
        if all.insert(name.clone(), Named { shape, values }).is_some() {
            return Err(format!("tensor {name} is there twice"));
        }
    }
    Ok(all)
}

fn f32s(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

const FLOAT: &str = "F32";

/// Where values lie.
#[derive(Debug, Clone)]
struct Storage {
    key: String,
    kind: &'static str,
    /// Bytes of a value.
    width: usize,
    count: usize,
}

#[derive(Debug)]
struct Tensor {
    storage: Storage,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Tensor {
    /// Its values in C order out of its storage's.
    fn gather(&self, name: &str, all: &[f32]) -> Result<Vec<f32>, String> {
        let beyond = || format!("tensor {name} reaches beyond its values");
        let count = self.shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size)).ok_or_else(beyond)?;
        if count > all.len() {
            return Err(beyond());
        }
        let mut contiguous = 1;
        let plain = self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = stride == contiguous || size == 1;
            contiguous *= size.max(1);
            fits
        });
        if plain {
            let end = self.offset.checked_add(count).ok_or_else(beyond)?;
            return all.get(self.offset..end).map(<[f32]>::to_vec).ok_or_else(beyond);
        }
        let mut index = vec![0; self.shape.len()];
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let place = index.iter().zip(&self.strides).try_fold(self.offset, |at, (&i, &stride): (&usize, _)| {
                i.checked_mul(stride).and_then(|step| at.checked_add(step))
            });
            values.push(*place.and_then(|place| all.get(place)).ok_or_else(beyond)?);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Ok(values)
    }
}
