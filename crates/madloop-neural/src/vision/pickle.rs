//! PyTorch's weights files, read without running anything.
//!
//! Such a file is a pickle, which is a program for a stack machine. Here that machine knows a dictionary of tensors and nothing
//! else: of the names that a pickle may call there are five, none of which is called, and any other is an error that names it. Both
//! containers are read: the zip archive (`torch.save` since 1.6) and the older sequence of pickles with the values behind.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::rc::Rc;

use zip::{CompressionMethod, ZipArchive};

use super::tensors::{Named, Values};

/// Instructions of one pickle: a state dictionary has some 20 a tensor.
const MOST_STEPS: usize = 1 << 20;
/// Containers within containers.
const DEEPEST: u8 = 16;
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

/// What the machine holds. Shared, so that a pickle that doubles what it holds does not double memory.
type Node = Rc<Held>;

#[derive(Debug)]
struct Held {
    depth: u8,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    None,
    Int(i64),
    Text(String),
    Tuple(Vec<Node>),
    List(Vec<Node>),
    Dict(Vec<(Node, Node)>),
    /// A name that would be called.
    Name(Known),
    Storage(Storage),
    Tensor(Tensor),
}

#[derive(Debug, Clone, Copy)]
enum Known {
    Dict,
    Tensor,
    Parameter,
    /// Values of a type, each of so many bytes.
    Values(&'static str, usize),
}

impl Known {
    fn find(module: &str, name: &str) -> Result<Self, String> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::Dict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::Tensor,
            ("torch._utils", "_rebuild_parameter") => Self::Parameter,
            ("torch", "FloatStorage") => Self::Values(FLOAT, 4),
            ("torch", "DoubleStorage") => Self::Values("F64", 8),
            ("torch", "HalfStorage") => Self::Values("F16", 2),
            ("torch", "LongStorage") => Self::Values("integers", 8),
            ("torch", "IntStorage") => Self::Values("integers", 4),
            _ => {
                return Err(format!(
                    "it wants to call {module}.{name}, and madloop reads tensors alone; save it as a state_dict or as safetensors"
                ));
            }
        })
    }
}

/// The stack machine.
struct Machine<'a> {
    program: &'a [u8],
    at: usize,
    stack: Vec<Node>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Node>,
}

impl<'a> Machine<'a> {
    fn new(program: &'a [u8]) -> Self {
        Self { program, at: 0, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new() }
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.program.len());
        let end = end.ok_or("its description of tensors ends too early")?;
        let bytes = &self.program[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.bytes(N)?.try_into().unwrap_or([0; N]))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.program.get(self.at..).unwrap_or_default();
        let end = rest.iter().take(256).position(|&byte| byte == b'\n').ok_or("a name in it does not end")?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn text(&mut self, count: usize) -> Result<(), String> {
        let text = String::from_utf8(self.bytes(count)?.to_vec()).map_err(|_| "a name in it is not UTF-8")?;
        self.push(Kind::Text(text))
    }

    fn push(&mut self, kind: Kind) -> Result<(), String> {
        let within = match &kind {
            Kind::Tuple(all) | Kind::List(all) => all.iter().map(|node| node.depth).max(),
            Kind::Dict(pairs) => pairs.iter().map(|(_, value)| value.depth).max(),
            _ => None,
        };
        let depth = within.map_or(0, |depth| depth + 1);
        if depth > DEEPEST {
            return Err(format!("its description of tensors is nested more than {DEEPEST} deep"));
        }
        self.stack.push(Rc::new(Held { depth, kind }));
        Ok(())
    }

    fn pop(&mut self) -> Result<Node, String> {
        self.stack.pop().ok_or_else(|| "its description of tensors takes what is not there".into())
    }

    /// What lies above the last mark.
    fn marked(&mut self) -> Result<Vec<Node>, String> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("its description of tensors has no mark")?))
    }

    /// Puts more into the container on top.
    fn extend(&mut self, items: Vec<Node>) -> Result<(), String> {
        let top = self.pop()?;
        let wrong = || "its description of tensors puts something into what holds nothing".to_owned();
        // Nothing that is filled is shared: no pickle of tensors fills one container from two places.
        let kind = match Rc::try_unwrap(top).map_err(|_| wrong())?.kind {
            Kind::List(mut all) => {
                all.extend(items);
                Kind::List(all)
            }
            Kind::Dict(mut pairs) if items.len().is_multiple_of(2) => {
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Kind::Dict(pairs)
            }
            _ => return Err(wrong()),
        };
        self.push(kind)
    }

    /// Runs up to the end of one pickle and returns what it leaves.
    fn run(&mut self) -> Result<Node, String> {
        for _ in 0..MOST_STEPS {
            let step = self.bytes(1)?[0];
            match step {
                b'.' => return self.pop(),
                0x80 => {
                    let version = self.bytes(1)?[0];
                    if version > 5 {
                        return Err(format!("its pickle is of the unknown protocol {version}"));
                    }
                }
                b'}' => self.push(Kind::Dict(Vec::new()))?,
                b']' => self.push(Kind::List(Vec::new()))?,
                b')' => self.push(Kind::Tuple(Vec::new()))?,
                b'N' => self.push(Kind::None)?,
                0x88 | 0x89 => self.push(Kind::Int(i64::from(step == 0x88)))?,
                b'(' => self.marks.push(self.stack.len()),
                b'K' => {
                    let [value] = self.number()?;
                    self.push(Kind::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.number()?);
                    self.push(Kind::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.number()?);
                    self.push(Kind::Int(value.into()))?;
                }
                0x8a => {
                    let count = self.bytes(1)?[0] as usize;
                    let bytes = self.bytes(count)?;
                    let mut wide = [if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 }; 8];
                    if count > 8 {
                        return Err("a number in it has more than 64 bits".into());
                    }
                    wide[..count].copy_from_slice(bytes);
                    self.push(Kind::Int(i64::from_le_bytes(wide)))?;
                }
                b'X' => {
                    let count = u32::from_le_bytes(self.number()?) as usize;
                    self.text(count)?;
                }
                0x8c => {
                    let count = self.bytes(1)?[0] as usize;
                    self.text(count)?;
                }
                b'q' => {
                    let key = self.bytes(1)?[0].into();
                    self.remember(key)?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.number()?);
                    self.remember(key)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let key = self.bytes(1)?[0].into();
                    self.recall(key)?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.number()?);
                    self.recall(key)?;
                }
                b't' => {
                    let all = self.marked()?;
                    self.push(Kind::Tuple(all))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(step - 0x84);
                    let from = self.stack.len().checked_sub(count).ok_or("a tuple in it has too few members")?;
                    let all = self.stack.split_off(from);
                    self.push(Kind::Tuple(all))?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Kind::Name(Known::find(&module, &name)?))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Kind::Text(module), Kind::Text(name)) = (&module.kind, &name.kind) else {
                        return Err("a name in it is no text".into());
                    };
                    let known = Known::find(module, name)?;
                    self.push(Kind::Name(known))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Kind::Storage(storage(&id)?))?;
                }
                b'R' => {
                    let (arguments, name) = (self.pop()?, self.pop()?);
                    let Kind::Name(name) = name.kind else { return Err("it calls what has no name".into()) };
                    let Kind::Tuple(arguments) = &arguments.kind else {
                        return Err("a call in it is not whole".into());
                    };
                    self.call(name, arguments)?;
                }
                // Attributes of the dictionary, such as versions of modules: nothing that evaluation needs.
                b'b' => drop(self.pop()?),
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.extend(vec![key, value])?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'u' | b'e' => {
                    let items = self.marked()?;
                    self.extend(items)?;
                }
                other => return Err(format!("its description of tensors has the unknown step {other:#04x}")),
            }
        }
        Err(format!("its description of tensors has more than {MOST_STEPS} steps"))
    }

    fn remember(&mut self, key: u32) -> Result<(), String> {
        let top = self.stack.last().ok_or("its description of tensors takes what is not there")?;
        // Containers are remembered while they are empty and filled afterwards, in place: what is kept of them is of no use.
        let kept = match &top.kind {
            Kind::Dict(pairs) if pairs.is_empty() => Rc::new(Held { depth: 0, kind: Kind::None }),
            Kind::List(all) if all.is_empty() => Rc::new(Held { depth: 0, kind: Kind::None }),
            _ => top.clone(),
        };
        self.memo.insert(key, kept);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), String> {
        let node = self.memo.get(&key).ok_or("its description of tensors recalls what was never there")?;
        self.stack.push(node.clone());
        Ok(())
    }

    /// What a call would give.
    fn call(&mut self, name: Known, arguments: &[Node]) -> Result<(), String> {
        let wrong = || "a tensor in it is described in an unknown way".to_owned();
        match (name, arguments) {
            (Known::Dict, []) => self.push(Kind::Dict(Vec::new())),
            (Known::Parameter, [tensor, ..]) => {
                self.stack.push(tensor.clone());
                Ok(())
            }
            (Known::Tensor, [storage, offset, shape, strides, ..]) => {
                let Kind::Storage(storage) = &storage.kind else { return Err(wrong()) };
                let offset = natural(offset).ok_or_else(wrong)?;
                let list = |node: &Node| match &node.kind {
                    Kind::Tuple(all) => all.iter().map(natural).collect::<Option<Vec<usize>>>(),
                    _ => None,
                };
                let (shape, strides) = (list(shape).ok_or_else(wrong)?, list(strides).ok_or_else(wrong)?);
                if shape.len() != strides.len() {
                    return Err(wrong());
                }
                self.push(Kind::Tensor(Tensor { storage: storage.clone(), offset, shape, strides }))
            }
            _ => Err(wrong()),
        }
    }
}

fn natural(node: &Node) -> Option<usize> {
    match node.kind {
        Kind::Int(value) => usize::try_from(value).ok(),
        _ => None,
    }
}

/// ("storage", type, key, place, number of values, ...)
fn storage(id: &Node) -> Result<Storage, String> {
    let wrong = || "the values of a tensor in it are described in an unknown way".to_owned();
    let Kind::Tuple(parts) = &id.kind else { return Err(wrong()) };
    let [word, kind, key, _, count, ..] = &parts[..] else { return Err(wrong()) };
    match (&word.kind, &kind.kind, &key.kind, natural(count)) {
        (Kind::Text(word), &Kind::Name(Known::Values(kind, width)), Kind::Text(key), Some(count))
            if word == "storage" =>
        {
            Ok(Storage { key: key.clone(), kind, width, count })
        }
        _ => Err(wrong()),
    }
}
