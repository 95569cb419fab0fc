//! What the names of files say: which are images, which only describe them, and the classes that folders stand for.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::images::EXTENSIONS;
use super::limits::MAX_CLASSES;
use crate::{Error, Result};

/// Where StyleGAN's tools keep labels, beside the images.
pub(crate) const LABELS: &str = "dataset.json";
/// Files that go with images and are none: they are left out without a word.
const TEXTS: [&str; 12] = ["txt", "md", "rst", "json", "csv", "tsv", "xml", "html", "htm", "yaml", "yml", "toml"];

/// What a file is by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// An image by its extension.
    Image,
    /// `dataset.json` at the top.
    Labels,
    /// Hidden, or a text such as a licence.
    Text,
    /// Nothing that belongs into a set of images.
    Other,
}

impl Role {
    /// The role of a file by its path below the folder or archive.
    pub(crate) fn of(name: &str) -> Self {
        let is_hidden = name.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
        let file = name.rsplit('/').next().unwrap_or(name);
        let stem = file.split('.').next().unwrap_or(file);
        match file.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()) {
            _ if is_hidden || matches!(file, "Thumbs.db" | "desktop.ini") => Self::Text,
            _ if name == LABELS => Self::Labels,
            Some(extension) if EXTENSIONS.contains(&extension.as_str()) => Self::Image,
            Some(extension) if TEXTS.contains(&extension.as_str()) => Self::Text,
            None if ["LICENSE", "LICENCE", "README", "COPYING", "NOTICE"].contains(&stem) => Self::Text,
            _ => Self::Other,
        }
    }

    /// Whether `name` is to be read as an image.
    #[cfg(test)]
    fn is_image(name: &str) -> bool {
        Self::of(name) == Self::Image
    }
}

/// Labels by folder: below the folders that all names share, each name's first folder is its class, if every name has
/// one. Classes are numbered in the order of their (sorted) names.
pub(crate) fn classes(names: &[&str]) -> Option<Vec<u32>> {
    fn folders(name: &str) -> Vec<&str> {
        let mut parts: Vec<&str> = name.split('/').collect();
        parts.pop();
        parts
    }
    let first = folders(names.first()?);
    let shared = names.iter().fold(first.len(), |shared, name| {
        folders(name).iter().zip(&first[..shared]).take_while(|(a, b)| a == b).count()
    });
    let of_name: Vec<&str> = names.iter().map(|name| folders(name).get(shared).copied()).collect::<Option<_>>()?;
    let mut classes = of_name.clone();
    classes.sort_unstable();
    classes.dedup();
    of_name.iter().map(|class| classes.binary_search(class).ok().map(|class| class as u32)).collect()
}

/// Labels of a `dataset.json` as StyleGAN's tools write it: `{"labels": [["00000/img00000000.png", 6], ...]}`, or null for none.
/// Where there is one, folders are no classes.
pub(crate) fn listed(root: &Path, json: &[u8], names: &[&str]) -> Result<Option<Vec<u32>>> {
    let path = root.join(LABELS);
    let bad = |why: String| Error::bad_file(&path, why, "correct it, or set data.labels = false");
    let all: Value = serde_json::from_slice(json).map_err(|error| bad(format!("it is no JSON: {error}")))?;
    let pairs = match &all["labels"] {
        Value::Null => return Ok(None),
        Value::Array(pairs) => pairs,
        other => return Err(bad(format!("its labels are {other}, not a list"))),
    };
    let mut by_name = BTreeMap::new();
    for pair in pairs {
        let label = pair[1].as_u64().and_then(|label| u32::try_from(label).ok()).filter(|label| *label < MAX_CLASSES);
        match (pair[0].as_str(), label) {
            (Some(name), Some(label)) => by_name.insert(name, label),
            _ => return Err(bad(format!("the label {pair} is not a name and a whole number below {MAX_CLASSES}"))),
        };
    }
    let of = |name: &&str| by_name.get(name).copied().ok_or_else(|| bad(format!("it has no label for {name}")));
    names.iter().map(of).collect::<Result<_>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_first_folders_that_differ() {
        assert_eq!(classes(&["a.png", "b.png"]), None);
        assert_eq!(classes(&["faces/a.png", "faces/b.png"]), None);
        assert_eq!(classes(&["cat/a.png", "dog/a.png", "dog/b.png"]), Some(vec![0, 1, 1]));
        assert_eq!(classes(&["x/10/a.png", "x/9/a.png", "x/9/z/b.png"]), Some(vec![0, 1, 1]));
        assert_eq!(classes(&["a/x.png", "b.png"]), None);
    }

    #[test]
    fn roles_go_by_name() {
        for name in ["a.png", "b/c.JPEG", "x.y.tif"] {
            assert!(Role::is_image(name), "{name}");
        }
        for name in ["a.txt", ".hidden.png", "__MACOSX/a.png", "b/.thumbs/c.png", "LICENSE", "b/dataset.json"] {
            assert_eq!(Role::of(name), Role::Text, "{name}");
        }
        for name in ["png", "a.gif", "b/c.pt", "movie.mp4"] {
            assert_eq!(Role::of(name), Role::Other, "{name}");
        }
        assert_eq!(Role::of("dataset.json"), Role::Labels);
    }

    #[test]
    fn labels_are_listed_by_name() {
        let root = Path::new("set");
        let names = ["0/a.png", "0/b.png"];
        let labels = |json: &str| listed(root, json.as_bytes(), &names).map_err(|error| error.to_string());
        assert_eq!(labels(r#"{"labels": [["0/b.png", 7], ["0/a.png", 3], ["other", 1]]}"#), Ok(Some(vec![3, 7])));
        assert_eq!(labels(r#"{"labels": null}"#), Ok(None));
        assert_eq!(labels("{}"), Ok(None));
        for (json, part) in [
            ("{", "no JSON"),
            (r#"{"labels": 3}"#, "not a list"),
            (r#"{"labels": [["0/a.png", [0, 1]]]}"#, "whole number"),
            (r#"{"labels": [["0/a.png", 3]]}"#, "no label for 0/b.png"),
        ] {
            let why = labels(json).expect_err(json);
            assert!(why.contains(part) && why.contains("dataset.json"), "{why}");
        }
    }
}
