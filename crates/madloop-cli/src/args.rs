//! Arguments of all commands.

mod features;
mod theory;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

pub(crate) use features::{FeaturesArgs, FeaturesCommand, TrainArgs};
pub(crate) use theory::{CurveArgs, LimitArgs, PlanArgs, TheoryArgs, TheoryCommand, ThresholdArgs};

/// Run, measure and predict self-consuming generative loops.
#[derive(Debug, Parser)]
#[command(name = "madloop", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an experiment: a preset or a TOML file; an existing run goes on where it stopped
    Run(RunArgs),
    /// List the presets: what they show and what they cost
    List(ListArgs),
    /// Print the resolved configuration of an experiment as TOML
    Show(ShowArgs),
    /// Compare a real and a generated set
    Score(ScoreArgs),
    /// Write mean and covariance of a set, or of merged parts, to an .npz file that pytorch-fid reads
    Stats(StatsArgs),
    /// Calculate Gaussian self-consuming loops without samples
    Theory(TheoryArgs),
    /// Plan: how much synthetic data is safe beside how much fresh real data, for your own features
    Plan(PlanArgs),
    /// Write the HTML report of one or several runs
    Report(ReportArgs),
    /// Train a feature map on your own labelled data
    Features(FeaturesArgs),
    /// List, download and describe data sets and weights
    Data(DataArgs),
    /// Print a completion script for your shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages into a folder
    Man(ManArgs),
}

/// How an experiment is chosen and changed.
#[derive(Debug, ClapArgs)]
pub(crate) struct ExperimentArgs {
    /// A preset's name (see `madloop list`) or a TOML file
    pub(crate) experiment: String,
    /// Set a key, such as loop.lambda=0.8 (a TOML literal, else a string); a key that is swept is then swept no longer
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// How large
    #[arg(long, value_enum)]
    pub(crate) scale: Option<ScaleArg>,
    /// First seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub(crate) seed: Option<u64>,
    /// Last generation
    #[arg(long, value_name = "N")]
    pub(crate) generations: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ScaleArg {
    /// Seconds: does it run?
    Smoke,
    /// Minutes to hours (the default)
    Laptop,
    /// The paper's own size
    Paper,
}

/// Where data sets lie.
#[derive(Debug, ClapArgs)]
pub(crate) struct DataDirArg {
    /// Folder of data sets and weights, before $MADLOOP_DATA and the user's own data folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Folder of the run [default: runs/NAME-SCALE]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Device; the light model families run on the CPU
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub(crate) device: String,
    /// Cells run at once [default: one a core]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) jobs: Option<usize>,
    /// Threads of each cell [default: the cores that --jobs leaves]
    #[arg(long, value_name = "N", value_parser = workers)]
    pub(crate) threads: Option<usize>,
    /// Print one record a line (JSON) instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArg,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArgs,
    /// Print the JSON Schema of experiment files instead
    #[arg(long)]
    pub(crate) schema: bool,
}

/// How images are brought to one shape.
#[derive(Debug, ClapArgs)]
pub(crate) struct ImageArgs {
    /// Bring images to this size: a side, or HEIGHTxWIDTH
    #[arg(long, value_name = "SIZE")]
    pub(crate) resize: Option<String>,
    /// Filter of the resize: area or lanczos
    #[arg(long, value_name = "FILTER", requires = "resize")]
    pub(crate) filter: Option<String>,
    /// Bring images to grey or rgb
    #[arg(long, value_name = "COLOR")]
    pub(crate) color: Option<String>,
    /// Leave out files that are no images, or damaged, instead of stopping at them
    #[arg(long)]
    pub(crate) skip_unreadable: bool,
}

/// What samples are compared by.
#[derive(Debug, ClapArgs)]
pub(crate) struct MapArgs {
    /// Feature map: none for vectors; for images pixels, lenet (MNIST) or lenet:FILE, effnet-lite0, inception (FID), vgg16, or
    /// onnx:FILE [default: none or pixels, whichever fits]
    #[arg(long, value_name = "NAME")]
    pub(crate) features: Option<String>,
    /// Weights of effnet-lite0, inception or vgg16: .safetensors or .pth [default: looked for in the data folders]
    #[arg(long, value_name = "FILE", requires = "features")]
    pub(crate) weights: Option<PathBuf>,
    /// Side to which effnet-lite0 brings images, a multiple of 32 [default: 128]
    #[arg(long, value_name = "SIDE", requires = "features")]
    pub(crate) feature_size: Option<u32>,
    /// Bring images to the network's size as this tool does [default: that of --like; else torch-fidelity, and clean-fid for
    /// effnet-lite0]
    #[arg(long, value_name = "TOOL", requires = "features", value_parser = ["torch-fidelity", "pytorch-fid", "clean-fid"])]
    pub(crate) feature_resize: Option<String>,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArg,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ScoreArgs {
    /// The real set: .npy, .npz, .safetensors, IDX, .csv, a folder, .zip or .tar of images
    #[arg(long, value_name = "A")]
    pub(crate) real: Option<PathBuf>,
    /// The generated set, of the same kinds
    #[arg(long = "gen", value_name = "B")]
    pub(crate) generated: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) map: MapArgs,
    /// Metrics, comma-separated; `all`, or `list` to describe them [default: all but the slow ones, or those of --like]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) metrics: Vec<String>,
    /// Neighbours of precision, recall, density and coverage [default: 5, or that of --like]
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    pub(crate) k: Option<usize>,
    /// Take the choices of another tool: metrics, k, < or <=, subsets of KID, resizing for a network
    #[arg(long, value_name = "TOOL", value_parser = ["torch-fidelity", "pytorch-fid", "clean-fid", "prdc"])]
    pub(crate) like: Option<String>,
    /// 95 % intervals from this many resamples of both sets (200 is usual)
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(10..))]
    pub(crate) bootstrap: Option<u32>,
    /// Score every class beside the whole; both sets need labels
    #[arg(long)]
    pub(crate) per_class: bool,
    /// The set that the generator was trained on: adds lambda_eff, the sampling bias that it really has
    #[arg(long, value_name = "SET")]
    pub(crate) train: Option<PathBuf>,
    /// Prepare the real set anew, and keep nothing of it ($MADLOOP_CACHE names the folder where it is kept else)
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Score this many samples of each set, drawn by the seed [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(crate) n: Option<usize>,
    /// Seed of subsets and projections
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub(crate) struct StatsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StatsCommand>,
    /// The set: .npy, .npz, .safetensors, IDX, .csv, a folder, .zip or .tar of images (a file called merge is ./merge)
    #[arg(required = true)]
    pub(crate) input: Option<PathBuf>,
    /// The file to write, with arrays mu and sigma (f64)
    #[arg(short, long, value_name = "FILE.npz", required = true)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) map: MapArgs,
    /// Accept a set of one sample, as a part to be merged
    #[arg(long)]
    pub(crate) shard: bool,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StatsCommand {
    /// Merge statistics files, as if their samples had been one set
    Merge(MergeArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct MergeArgs {
    /// Statistics of the parts, all with the same features and preprocessing
    #[arg(required = true, value_name = "FILE.npz")]
    pub(crate) inputs: Vec<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE.npz")]
    pub(crate) output: PathBuf,
    /// Number of samples of each file, in their order, for files of other programs, which do not hold it
    #[arg(long, value_name = "N1,N2", value_delimiter = ',')]
    pub(crate) n: Option<Vec<u64>>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write [default: report.html in the run's folder, or here for several runs]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// The data sets and weights that madloop knows, and where they are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Download a data set or weights; an interrupted download goes on where it stopped
    Get {
        /// Its name
        name: String,
        /// Download from here instead of the known mirrors
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// What a data set is, its split and licence, and where its files come from
    Info {
        /// Its name
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// Shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ManArgs {
    /// Write a page for every command into this folder
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("it must be at least 1".into()),
        Ok(n) => Ok(n),
        Err(_) => Err("it must be a whole number of at least 1".into()),
    }
}

fn workers(text: &str) -> Result<usize, String> {
    const MOST: usize = 1024;
    match at_least_one(text)? {
        n @ ..=MOST => Ok(n),
        _ => Err(format!("it must be from 1 to {MOST}; more workers than cores only slow a run")),
    }
}
