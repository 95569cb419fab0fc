//! The presets that the binary carries.

/// A preset: one file of `presets/`.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its TOML.
    pub text: &'static str,
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(Preset { name: $name, text: include_str!(concat!("../../../../presets/", $name, ".toml")) }),+]
    };
}

static PRESETS: &[Preset] = embedded![
    "quickstart",
    "quickstart-ddpm",
    "fig1",
    "fig4-ddpm",
    "fig4-stylegan",
    "fig5",
    "fig6-ddpm",
    "fig6-stylegan",
    "fig7",
    "fig8",
    "fig9",
    "fig10-gaussian",
    "fig10-mnist",
    "fig11",
    "fig12",
    "fig13",
    "fig14-gmm",
    "fig16",
    "fig17",
    "fig17-kde",
    "fig30",
    "fig31",
    "mnist-flow",
    "mnist-gmm",
];

/// All presets, the quickstart first.
pub fn presets() -> &'static [Preset] {
    PRESETS
}
