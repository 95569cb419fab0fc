//! The stack machine of a pickle, which knows dictionaries, lists, tuples, texts, numbers and tensors, and calls nothing.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{FLOAT, Storage, Tensor};

/// Instructions of one pickle: a state dictionary has some 20 a tensor.
pub(super) const MOST_STEPS: usize = 1 << 20;
/// Containers within containers.
const DEEPEST: u8 = 16;

/// What the machine holds. Shared, so that a pickle that doubles what it holds does not double memory.
pub(super) type Node = Rc<Held>;

#[derive(Debug)]
pub(super) struct Held {
    depth: u8,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
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
pub(super) enum Known {
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
pub(super) struct Machine<'a> {
    program: &'a [u8],
    /// How far it has read.
    pub(super) at: usize,
    stack: Vec<Node>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Node>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a [u8]) -> Self {
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
    pub(super) fn run(&mut self) -> Result<Node, String> {
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
