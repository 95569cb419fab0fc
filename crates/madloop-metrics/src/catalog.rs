//! Every metric by name: what it says, where it lies, which way is better.

/// Which way a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More is better.
    HigherIsBetter,
    /// Less is better.
    LowerIsBetter,
    /// Neither: it describes.
    Neither,
}

/// What a metric is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Features of the real and the generated set; [`crate::Reference`] scores it.
    Features,
    /// The parameters of a model that is one Gaussian.
    Model,
    /// Samples and the known centres of the modes.
    Modes,
}

/// A metric of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The key in records and options.
    pub name: &'static str,
    /// The symbol on an axis.
    pub symbol: &'static str,
    /// The name in a heading.
    pub title: &'static str,
    /// Which way it improves.
    pub direction: Direction,
    /// Smallest and largest value, of the exact quantity (rounding may pass them by its own size).
    pub range: (f64, f64),
    /// Whether the real and the generated set may be swapped (in distribution, where subsets are drawn).
    pub symmetric: bool,
    /// What it is computed from.
    pub of: Of,
    /// The samples without which it is undefined.
    pub minimum_n: &'static str,
    /// Where it comes from.
    pub reference: &'static str,
    /// What it is, in one sentence.
    pub what: &'static str,
}

const INF: f64 = f64::INFINITY;

/// All metrics, in the order of display.
pub static CATALOG: [Metric; 16] = [
    Metric {
        name: "frechet_distance",
        symbol: "FD",
        title: "Frechet distance",
        direction: Direction::LowerIsBetter,
        range: (0.0, INF),
        symmetric: true,
        of: Of::Features,
        minimum_n: "n >= 2 in both sets",
        reference: "Heusel et al. 2017, arXiv:1706.08500",
        what: "Squared 2-Wasserstein distance of the Gaussians with the means and covariances of the two sets of \
               features; biased upwards by small n.",
    },
    Metric {
        name: "kid",
        symbol: "KID",
        title: "Kernel distance (KID)",
        direction: Direction::LowerIsBetter,
        range: (-INF, INF),
        symmetric: true,
        of: Of::Features,
        minimum_n: "n >= 2 in both sets",
        reference: "Binkowski et al. 2018, arXiv:1801.01401",
        what: "Unbiased squared maximum mean discrepancy with a cubic kernel, mean over 100 subsets of 1000 \
               (over all pairs when n <= 1000); scatters around 0, also below, for equal distributions.",
    },
    Metric {
        name: "kid_std",
        symbol: "s(KID)",
        title: "Spread of KID over subsets",
        direction: Direction::Neither,
        range: (0.0, INF),
        symmetric: true,
        of: Of::Features,
        minimum_n: "n > 1000 in both sets",
        reference: "Binkowski et al. 2018, arXiv:1801.01401",
        what: "Standard deviation of KID over its 100 subsets (divisor 100).",
    },
    Metric {
        name: "precision",
        symbol: "P",
        title: "Precision",
        direction: Direction::HigherIsBetter,
        range: (0.0, 1.0),
        symmetric: false,
        of: Of::Features,
        minimum_n: "n > k real, n >= 1 generated",
        reference: "Kynkaanniemi et al. 2019, arXiv:1904.06991",
        what: "Share of generated samples that lie in the k-th-neighbour ball of a real one: quality.",
    },
    Metric {
        name: "recall",
        symbol: "R",
        title: "Recall",
        direction: Direction::HigherIsBetter,
        range: (0.0, 1.0),
        symmetric: false,
        of: Of::Features,
        minimum_n: "n >= 1 real, n > k generated",
        reference: "Kynkaanniemi et al. 2019, arXiv:1904.06991",
        what: "Share of real samples that lie in the k-th-neighbour ball of a generated one: diversity.",
    },
    Metric {
        name: "density",
        symbol: "D",
        title: "Density",
        direction: Direction::HigherIsBetter,
        range: (0.0, INF),
        symmetric: false,
        of: Of::Features,
        minimum_n: "n > k real, n >= 1 generated",
        reference: "Naeem et al. 2020, arXiv:2002.09797",
        what: "Mean number of real k-th-neighbour balls in which a generated sample lies, over k; may exceed 1.",
    },
    Metric {
        name: "coverage",
        symbol: "C",
        title: "Coverage",
        direction: Direction::HigherIsBetter,
        range: (0.0, 1.0),
        symmetric: false,
        of: Of::Features,
        minimum_n: "n > k real, n >= 1 generated",
        reference: "Naeem et al. 2020, arXiv:2002.09797",
        what: "Share of real k-th-neighbour balls that contain a generated sample.",
    },
    Metric {
        name: "auth_pct",
        symbol: "A %",
        title: "Authenticity, per cent",
        direction: Direction::Neither,
        range: (0.0, 100.0),
        symmetric: false,
        of: Of::Features,
        minimum_n: "n >= 2 real, n >= 1 generated",
        reference: "Alaa et al. 2022, arXiv:2102.08921",
        what: "Percentage of generated samples farther from their nearest real one than that is from its nearest real one; \
               about 50 for equal distributions, 0 for copies of the real set.",
    },
    Metric {
        name: "sliced_w2",
        symbol: "SW2",
        title: "Sliced Wasserstein distance",
        direction: Direction::LowerIsBetter,
        range: (0.0, INF),
        symmetric: true,
        of: Of::Features,
        minimum_n: "n >= 1 in both sets",
        reference: "Bonneel et al. 2015, doi:10.1007/s10851-014-0506-3",
        what: "Root of the mean squared 2-Wasserstein distance of projections onto 50 random directions.",
    },
    Metric {
        name: "trace_cov",
        symbol: "tr S",
        title: "Total variance",
        direction: Direction::Neither,
        range: (0.0, INF),
        symmetric: false,
        of: Of::Features,
        minimum_n: "n >= 2 generated",
        reference: "Alemohammad et al. 2023, arXiv:2307.01850",
        what: "Trace of the covariance of the generated features: how far they spread.",
    },
    Metric {
        name: "model_w2_sq",
        symbol: "W2^2",
        title: "Squared Wasserstein distance of the model",
        direction: Direction::LowerIsBetter,
        range: (0.0, INF),
        symmetric: true,
        of: Of::Model,
        minimum_n: "none: from parameters",
        reference: "Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X",
        what: "Squared 2-Wasserstein distance of the model's own Gaussian to the real distribution.",
    },
    Metric {
        name: "model_trace_cov",
        symbol: "tr Sigma",
        title: "Total variance of the model",
        direction: Direction::Neither,
        range: (0.0, INF),
        symmetric: false,
        of: Of::Model,
        minimum_n: "none: from parameters",
        reference: "Alemohammad et al. 2023, arXiv:2307.01850",
        what: "Trace of the covariance of the model's own Gaussian.",
    },
    Metric {
        name: "modes_kept",
        symbol: "kept",
        title: "Modes kept",
        direction: Direction::HigherIsBetter,
        range: (0.0, INF),
        symmetric: false,
        of: Of::Modes,
        minimum_n: "n >= 1 generated",
        reference: "Dumoulin et al. 2016, arXiv:1606.00704",
        what: "Modes of K with at least max(1, 0.1 n/K) samples within 3 sigma of the centre.",
    },
    Metric {
        name: "modes_hit",
        symbol: "hit",
        title: "Modes hit",
        direction: Direction::HigherIsBetter,
        range: (0.0, INF),
        symmetric: false,
        of: Of::Modes,
        minimum_n: "n >= 1 generated",
        reference: "Dumoulin et al. 2016, arXiv:1606.00704",
        what: "Modes with at least 1 sample within 3 sigma of its nearest centre.",
    },
    Metric {
        name: "high_quality_share",
        symbol: "HQ",
        title: "Share of high-quality samples",
        direction: Direction::HigherIsBetter,
        range: (0.0, 1.0),
        symmetric: false,
        of: Of::Modes,
        minimum_n: "n >= 1 generated",
        reference: "Azadi et al. 2018, arXiv:1810.06758",
        what: "Share of samples within 3 sigma of their nearest centre.",
    },
    Metric {
        name: "mean_modal_variance",
        symbol: "s2 mode",
        title: "Mean modal variance",
        direction: Direction::Neither,
        range: (0.0, INF),
        symmetric: false,
        of: Of::Modes,
        minimum_n: "2 samples near one mode",
        reference: "Alemohammad et al. 2023, arXiv:2307.01850",
        what: "Variance per dimension of the samples within 3 sigma of a centre, averaged over modes with at least 2.",
    },
];

/// The metric called `name`.
pub fn find(name: &str) -> Option<&'static Metric> {
    CATALOG.iter().find(|metric| metric.name == name)
}

/// The metric whose name is most like `name` (Jaro-Winkler; the first of several): a suggestion for a misspelt one.
pub fn nearest(name: &str) -> &'static Metric {
    let likeness = |metric: &Metric| strsim::jaro_winkler(metric.name, &name.to_lowercase());
    CATALOG
        .iter()
        .reduce(|best, metric| if likeness(metric) > likeness(best) { metric } else { best })
        .unwrap_or(&CATALOG[0])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let names: HashSet<_> = CATALOG.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), CATALOG.len());
        for metric in &CATALOG {
            assert_eq!(find(metric.name), Some(metric));
            assert_eq!(nearest(metric.name), metric);
            assert!(metric.range.0 < metric.range.1 && metric.what.ends_with('.'));
        }
        assert_eq!(find("fid"), None);
    }

    #[test]
    fn a_misspelt_name_has_a_suggestion() {
        for (wrong, right) in [
            ("precison", "precision"),
            ("frechet", "frechet_distance"),
            ("Recall", "recall"),
            ("sliced-w2", "sliced_w2"),
            ("trace", "trace_cov"),
            ("modes_keep", "modes_kept"),
        ] {
            assert_eq!(nearest(wrong).name, right);
        }
    }
}
