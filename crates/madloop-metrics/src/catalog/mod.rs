//! Every metric by name: what it says, where it lies, which way is better, how many samples it needs.

mod entries;

pub use entries::CATALOG;

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
    /// Samples of a law whose first coordinate is known to be standard normal.
    Tail,
    /// Held-out real samples and a model that knows its density.
    Likelihood,
    /// Features of a generated set and of the set that its model was trained on; [`crate::lambda_eff()`].
    Training,
    /// Outputs of Inception beside its features, for both sets; [`crate::Reference`] and [`crate::inception_score()`].
    Inception,
    /// Labelled generated samples and labelled real ones: a classifier is trained, outside of this crate.
    Downstream,
}

/// The samples from which on a metric says what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enough {
    /// So many in each set that it looks at.
    Rows(usize),
    /// So many times the number of dimensions.
    RowsPerDimension(usize),
    /// Any that define it.
    Any,
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
    /// The samples without which a warning is due.
    pub enough: Enough,
    /// How its expected value moves with the number of samples.
    pub bias: &'static str,
    /// Where it comes from.
    pub reference: &'static str,
    /// What it is, in one sentence.
    pub what: &'static str,
}

/// The metric called `name`.
pub fn find(name: &str) -> Option<&'static Metric> {
    CATALOG.iter().find(|metric| metric.name == name)
}

/// The metric that other tools call `name`, in any case.
pub fn alias(name: &str) -> Option<&'static Metric> {
    match name.to_lowercase().as_str() {
        "fd" => find("frechet_distance"),
        "mmd" => find("mmd_rbf"),
        "w2" | "emd" | "wasserstein" => find("w2_sq"),
        "authenticity" | "authpct" => find("auth_pct"),
        _ => None,
    }
}

/// The metric whose name is most like `name` (Jaro-Winkler; the first of several): a suggestion for a misspelt one.
pub fn nearest(name: &str) -> &'static Metric {
    if let Some(metric) = alias(name) {
        return metric;
    }
    let likeness = |metric: &Metric| strsim::jaro_winkler(metric.name, &name.to_lowercase());
    CATALOG
        .iter()
        .reduce(|best, metric| if likeness(metric) > likeness(best) { metric } else { best })
        .unwrap_or(&CATALOG[0])
}

impl Metric {
    /// What to know before this metric is read from `n_real` and `n_generated` samples of `dim` features; `None` when they are
    /// enough.
    pub fn warning(&self, n_real: usize, n_generated: usize, dim: usize) -> Option<String> {
        let needs = match self.enough {
            Enough::Rows(rows) => rows,
            Enough::RowsPerDimension(times) => times.saturating_mul(dim),
            Enough::Any => return None,
        };
        let n = match self.of {
            // Properties of the generated set alone.
            Of::Features if matches!(self.name, "trace_cov" | "vendi" | "effective_rank" | "rank") => n_generated,
            _ => n_real.min(n_generated),
        };
        (n < needs).then(|| {
            let per = if let Enough::RowsPerDimension(times) = self.enough {
                format!(" ({times} for each of {dim} dimensions)")
            } else {
                String::new()
            };
            format!("n = {n} is small for it: {needs} or more are advised{per}; {}", self.bias)
        })
    }
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
            assert!(metric.range.0 < metric.range.1 && metric.what.ends_with('.') && !metric.bias.ends_with('.'));
        }
        assert_eq!(find("fd"), None);
    }

    #[test]
    fn few_samples_are_a_warning() {
        let warning = |name: &str, n: usize, m: usize, d: usize| find(name).expect("known").warning(n, m, d);
        assert_eq!(warning("frechet_distance", 50_000, 50_000, 2048), None);
        let text = warning("frechet_distance", 50_000, 5_000, 2048).expect("too few");
        assert!(text.starts_with("n = 5000 is small") && text.contains("4 for each of 2048"), "{text}");
        assert!(warning("precision", 999, 5000, 2).is_some());
        assert!(warning("trace_cov", 3, 5000, 2).is_none());
        assert!(warning("modes_kept", 1, 1, 2).is_none());
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
            ("FID", "fid"),
            ("fd", "frechet_distance"),
            ("w2", "w2_sq"),
        ] {
            assert_eq!(nearest(wrong).name, right);
        }
    }
}
