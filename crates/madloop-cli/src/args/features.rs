//! Arguments of feature maps of one's own.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::{DataDirArg, ImageArgs};

#[derive(Debug, ClapArgs)]
pub(crate) struct FeaturesArgs {
    #[command(subcommand)]
    pub(crate) command: FeaturesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeaturesCommand {
    /// Train a LeNet classifier, whose penultimate layer gives the features lenet:FILE
    Train(TrainArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TrainArgs {
    /// Labelled data: mnist, fashion-mnist, digits8, or a file or folder (a folder or archive with a subfolder a class, .npz
    /// with labels, .csv with a label column)
    pub(crate) set: String,
    /// The weights file to write
    #[arg(short, long, value_name = "FILE.safetensors")]
    pub(crate) output: PathBuf,
    /// Labelled file or folder to measure accuracy on [default: the data set's own, or a fifth that is held back]
    #[arg(long, value_name = "SET")]
    pub(crate) test: Option<PathBuf>,
    /// Passes through the data [default: 24]
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<u64>,
    /// Samples a step [default: 128]
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Adam's rate at the beginning; it falls to 0 [default: 0.002]
    #[arg(long, value_name = "X")]
    pub(crate) learning_rate: Option<f64>,
    /// Pixels by which images are moved at most, newly in every epoch [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) shift: Option<usize>,
    /// Seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArg,
}
