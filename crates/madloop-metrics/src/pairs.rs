//! What is made of pairs of samples: balls, their counts, and KID, from three tiled passes.
//!
//! Real x real is done once a reference, generated x generated and generated x real once a comparison, each for
//! all metrics together.

use madloop_core::Features;

use crate::between::{Balls, Between, between};
use crate::cloud::{Block, Cloud, Precision, in_double};
use crate::error::check_rows;
use crate::kid::{Draws, Kid, draw, from_sums};
use crate::manifold::Manifold;
use crate::moments::mean;
use crate::score::Arrays;
use crate::settings::Settings;
use crate::subsets::Subsets;
use crate::within::{Within, within};
use crate::{MetricsError, Result};

/// Which metrics a pass serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// Precision, density or coverage.
    pub(crate) real_balls: bool,
    /// Recall.
    pub(crate) generated_balls: bool,
    /// AuthPct.
    pub(crate) authentic: bool,
    /// KID.
    pub(crate) kid: bool,
}

impl Want {
    /// A metric that `asked` serves and this does not.
    pub(crate) fn lacks(self, asked: Want) -> Option<&'static str> {
        let missing = [
            (asked.real_balls && !self.real_balls, "precision"),
            (asked.authentic && !self.authentic, "auth_pct"),
            (asked.kid && !self.kid, "kid"),
            (asked.generated_balls && !self.generated_balls, "recall"),
        ];
        missing.into_iter().find_map(|(missing, name)| missing.then_some(name))
    }

    fn real_neighbours(self) -> bool {
        self.real_balls || self.authentic
    }
}

/// What was found of the pairs of two sets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pairs {
    pub(crate) manifold: Manifold,
    pub(crate) kid: Result<Kid>,
}

/// What the pairs within the real set give, computed once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PairsReference {
    centre: Vec<f64>,
    /// Squared distances to the `neighbours` nearest other rows, ascending (`[n, neighbours]`).
    nearest: Vec<f64>,
    neighbours: usize,
    kid: Option<KidReference>,
}

/// The real part of KID.
#[derive(Debug, Clone, PartialEq)]
struct KidReference {
    /// The generated rows that the subsets are for.
    generated_rows: usize,
    /// Sums of the kernel over the pairs of each subset.
    sums: Vec<f64>,
}

impl PairsReference {
    /// Prepares a checked set of at least one row.
    pub(crate) fn new(real: &Features, want: Want, settings: &Settings) -> Result<Self> {
        settings.check()?;
        check_rows(real, "real", 1, "there is no distance to it")?;
        let centre = mean(real);
        // Addressed subsets do not depend on the other set's size, as long as it is large.
        let generated_rows = settings.generated_rows.unwrap_or(u32::MAX as usize);
        let subsets = want.kid.then(|| real_subsets(real.rows, generated_rows, settings)).and_then(Result::ok);
        let neighbours = neighbours(real.rows, want.real_neighbours(), want.real_balls, settings.k);
        let found = pass(real, &centre, neighbours, subsets.as_ref());
        let kid = subsets.map(|_| KidReference { generated_rows, sums: found.kernel });
        Ok(Self { centre, nearest: found.nearest, neighbours, kid })
    }

    /// What was prepared, by name.
    pub(crate) fn arrays(&self, out: &mut Arrays) {
        out.insert("pairs.centre".into(), self.centre.clone());
        out.insert("pairs.nearest".into(), self.nearest.clone());
        out.insert("pairs.neighbours".into(), vec![self.neighbours as f64]);
        if let Some(kid) = &self.kid {
            out.insert("kid.generated_rows".into(), vec![kid.generated_rows as f64]);
            out.insert("kid.sums".into(), kid.sums.clone());
        }
    }

    /// The same, taken back; `None` when it is not there or not for `real` and `want`.
    pub(crate) fn from_arrays(real: &Features, want: Want, settings: &Settings, arrays: &mut Arrays) -> Option<Self> {
        let centre = arrays.remove("pairs.centre").filter(|centre| centre.len() == real.dim)?;
        let neighbours = *arrays.remove("pairs.neighbours")?.first()? as usize;
        let nearest = arrays.remove("pairs.nearest").filter(|nearest| nearest.len() == real.rows * neighbours)?;
        let kid = match (arrays.remove("kid.generated_rows"), arrays.remove("kid.sums")) {
            (Some(rows), Some(sums)) => Some(KidReference { generated_rows: *rows.first()? as usize, sums }),
            _ => None,
        };
        let wanted = self::neighbours(real.rows, want.real_neighbours(), want.real_balls, settings.k);
        (neighbours == wanted && kid.is_some() == want.kid).then_some(Self { centre, nearest, neighbours, kid })
    }

    /// The metrics of a checked set of the same dimension against the one prepared, which is given again.
    pub(crate) fn compare(
        &self,
        real: &Features,
        generated: &Features,
        want: Want,
        settings: &Settings,
    ) -> Result<Pairs> {
        check_rows(generated, "generated", 1, "there is no distance to it")?;
        let (n, m, k) = (real.rows, generated.rows, settings.k);
        let subsets = if want.kid {
            draw(n, m, settings.kid, settings.seeds)
        } else {
            Err(MetricsError::NotPrepared { name: "kid" })
        };
        let generated_subsets = subsets.as_ref().ok().map(|(_, generated)| generated);
        let own = neighbours(m, want.generated_balls, want.generated_balls, k);
        // About its own mean, since a collapsed set far from the real one would drown in rounding.
        let own_centre = mean(generated);
        let inner = pass(generated, &own_centre, own, generated_subsets);
        let limits = |nearest: &[f64], width: usize, column: usize| -> Option<Vec<f64>> {
            (column < width).then(|| {
                nearest.iter().skip(column).step_by(width).map(|&radius| settings.inside.limit(radius)).collect()
            })
        };
        let real_balls = if want.real_balls { limits(&self.nearest, self.neighbours, k - 1) } else { None };
        let generated_balls = limits(&inner.nearest, own, k - 1);
        let real_nearest: Option<Vec<f64>> = (want.authentic && self.neighbours > 0)
            .then(|| self.nearest.iter().step_by(self.neighbours).copied().collect());
        let balls = Balls {
            real: real_balls.as_deref(),
            generated: generated_balls.as_deref(),
            real_nearest: real_nearest.as_deref(),
        };
        let cross = subsets.as_ref().ok().map(|(real, generated)| (generated, real));
        let found = cross_pass(generated, real, &self.centre, balls, cross);
        let kid = match &subsets {
            Err(reason) => Err(reason.clone()),
            Ok((of_real, of_generated)) => {
                let real_sums = match &self.kid {
                    Some(kid) if self.kid_holds(kid, n, m, settings) => kid.sums.clone(),
                    _ => pass(real, &self.centre, 0, Some(of_real)).kernel,
                };
                Ok(from_sums(of_real, of_generated, [&real_sums, &inner.kernel, &found.kernel]))
            }
        };
        Ok(Pairs { manifold: manifold(&found, want, n, m, k), kid })
    }

    /// Whether the prepared sums are those of the subsets for `m` generated rows.
    fn kid_holds(&self, kid: &KidReference, n: usize, m: usize, settings: &Settings) -> bool {
        let whole = |m: usize| n.min(m) <= settings.kid.size;
        match settings.kid.draws {
            Draws::Addressed => whole(kid.generated_rows) == whole(m),
            Draws::NumpyRandomState(_) => kid.generated_rows == m,
        }
    }
}

/// The real subsets for `generated_rows` generated rows, without drawing what is not needed.
fn real_subsets(n: usize, generated_rows: usize, settings: &Settings) -> Result<Subsets> {
    let rows = match settings.kid.draws {
        // Any number above the subset size gives the same real subsets.
        Draws::Addressed => generated_rows.min(settings.kid.size + 1),
        Draws::NumpyRandomState(_) if settings.generated_rows.is_none() => {
            return Err(MetricsError::NotPrepared { name: "kid" });
        }
        Draws::NumpyRandomState(_) => generated_rows,
    };
    draw(n, rows, settings.kid, settings.seeds).map(|(real, _)| real)
}

/// Neighbours to look for: the k-th for balls, the first for authenticity, fewer than there are rows.
fn neighbours(rows: usize, any: bool, balls: bool, k: usize) -> usize {
    match (any, balls) {
        (true, true) if rows > k => k,
        (true, _) if rows > 1 => 1,
        _ => 0,
    }
}

fn pass(set: &Features, centre: &[f64], neighbours: usize, subsets: Option<&Subsets>) -> Within {
    fn of<T: Precision>(set: &Features, centre: &[f64], neighbours: usize, subsets: Option<&Subsets>) -> Within {
        within::<T>(&Cloud::new::<T>(set, centre), neighbours, subsets, Block::for_rows(set.rows))
    }
    if neighbours == 0 && subsets.is_none() {
        return Within { nearest: Vec::new(), kernel: Vec::new() };
    }
    if in_double(set, set, centre, subsets.is_some()) {
        of::<f64>(set, centre, neighbours, subsets)
    } else {
        of::<f32>(set, centre, neighbours, subsets)
    }
}

fn cross_pass(
    generated: &Features,
    real: &Features,
    centre: &[f64],
    balls: Balls<'_>,
    subsets: Option<(&Subsets, &Subsets)>,
) -> Between {
    fn of<T: Precision>(
        generated: &Features,
        real: &Features,
        centre: &[f64],
        balls: Balls<'_>,
        subsets: Option<(&Subsets, &Subsets)>,
    ) -> Between {
        let (generated, real) = Cloud::pair::<T>(generated, real, centre);
        between::<T>(&generated, &real, balls, subsets, Block::for_rows(generated.set.rows))
    }
    if subsets.is_none() && balls.real.is_none() && balls.generated.is_none() && balls.real_nearest.is_none() {
        return Between::default();
    }
    if in_double(real, generated, centre, subsets.is_some()) {
        of::<f64>(generated, real, centre, balls, subsets)
    } else {
        of::<f32>(generated, real, centre, balls, subsets)
    }
}

/// Counts over the numbers that they are shares of, where the balls exist.
fn manifold(found: &Between, want: Want, n: usize, m: usize, k: usize) -> Manifold {
    let share = |count: usize, of: usize| count as f64 / of as f64;
    let of = |name: &'static str, wanted: bool, set: &'static str, rows: usize, k: usize, value: f64| {
        if !wanted {
            Err(MetricsError::NotPrepared { name })
        } else if rows <= k {
            Err(MetricsError::NotMoreThanK { set, n: rows, k })
        } else {
            Ok(value)
        }
    };
    let real = |name, value| of(name, want.real_balls, "real", n, k, value);
    Manifold {
        precision: real("precision", share(found.inside, m)),
        recall: of("recall", want.generated_balls, "generated", m, k, share(found.recalled, n)),
        density: real("density", found.pairs as f64 / (k as f64 * m as f64)),
        coverage: real("coverage", share(found.covered, n)),
        auth_pct: of("auth_pct", want.authentic, "real", n, 1, 100.0 * share(found.authentic, m)),
    }
}
