//! How each metric of features behaves when its sets are moved, scaled, reordered or doubled: one row a metric.

/// What is known of a metric.
pub(crate) struct Law {
    pub(crate) name: &'static str,
    /// A translation of both sets changes nothing.
    pub(crate) translation: bool,
    /// The power of a common factor of both sets that comes out, if there is such a power.
    pub(crate) scale: Option<i32>,
    /// The order of the rows does not matter.
    pub(crate) unordered: bool,
    /// Both sets with every row twice.
    pub(crate) twice: Twice,
    /// Part of the reason why it may have no value for more than k rows.
    pub(crate) undefined: Option<&'static str>,
    /// Where it lies when N((1/2, 1/2, 1/2), diag(1/20, 1/200, 1/200)^2) is generated for N(0, I).
    pub(crate) collapsed: (f64, f64),
    /// What rounding may change, by the largest squared norm (1 at least).
    pub(crate) rounding: fn(f64) -> f64,
}

/// What is left when every row is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Twice {
    /// All of it: a property of the distribution.
    Same,
    /// All of it with 2 k neighbours: the twin is the first, the j-th other row the 2 j-th.
    WithTwiceTheNeighbours,
    /// All but the divisor n - 1 of the covariance.
    Divisor,
    /// As its parts: the traces and their root by the divisors, the means as they are.
    Frechet,
    /// The share of generated rows that are no copies of real ones: a real row is at no distance from its twin.
    Copies,
    /// No law, since twins enter the unbiased means over pairs.
    Pairs,
    /// No law, since samples are drawn by their place.
    Drawn,
}

/// Counts are equal or wrong.
const COUNT: Law = Law {
    name: "",
    translation: true,
    scale: Some(0),
    unordered: true,
    twice: Twice::WithTwiceTheNeighbours,
    undefined: None,
    collapsed: (0.0, 0.1),
    rounding: |_| 0.0,
};

/// Rounding goes with the squares that are added up.
const SQUARE: Law = Law { scale: Some(2), twice: Twice::Same, rounding: |size| 1e-12 * size, ..COUNT };

/// Numbers without units, of squares that were added up about some centre.
const PLAIN: Law = Law { rounding: |size| 1e-12 * (size + 1e3), twice: Twice::Same, ..COUNT };

/// Every metric of the catalogue that is made of features.
pub(crate) const LAWS: &[Law] = &[
    // A root of eps where a covariance is singular.
    Law {
        name: "frechet_distance",
        twice: Twice::Frechet,
        collapsed: (3.2, 4.1),
        rounding: |size| 2e-7 * size,
        ..SQUARE
    },
    Law {
        name: "fd_infinity",
        unordered: false,
        twice: Twice::Drawn,
        undefined: Some("less than 5001"),
        collapsed: (3.2, 4.1),
        // Tested at full rank; extrapolated 5 times the length of its points.
        rounding: |size| 1e-11 * size,
        ..SQUARE
    },
    // The cubic kernel has a unit and an origin.
    Law {
        name: "kid",
        translation: false,
        scale: None,
        twice: Twice::Pairs,
        collapsed: (0.05, 5.0),
        rounding: |size| 1e-13 * (size + 1.0).powi(3),
        ..COUNT
    },
    Law {
        name: "kid_std",
        translation: false,
        scale: None,
        unordered: false,
        twice: Twice::Drawn,
        undefined: Some("one subset"),
        collapsed: (1e-4, 0.5),
        ..COUNT
    },
    // The bandwidth moves with the real set; that of a collapsed one is 0.
    Law { name: "mmd_rbf", twice: Twice::Pairs, undefined: Some("median distance"), collapsed: (0.05, 0.5), ..PLAIN },
    Law { name: "precision", collapsed: (0.99, 1.0), ..COUNT },
    Law { name: "recall", ..COUNT },
    // That of the one spot where the samples are.
    Law { name: "density", collapsed: (0.2, 5.0), ..COUNT },
    Law { name: "coverage", ..COUNT },
    // All or none: the samples share their nearest real one.
    Law { name: "auth_pct", twice: Twice::Copies, collapsed: (0.0, 100.0), ..COUNT },
    // Directions are seen from the origin.
    Law { name: "vendi", translation: false, undefined: Some("all zeros"), collapsed: (1.0, 1.05), ..PLAIN },
    Law { name: "sliced_w2", scale: Some(1), collapsed: (0.9, 1.3), ..SQUARE },
    Law { name: "w2_sq", collapsed: (3.0, 4.3), ..SQUARE },
    // The blur is a length that stays.
    Law { name: "sinkhorn", scale: None, collapsed: (1.5, 2.2), ..SQUARE },
    Law { name: "trace_cov", twice: Twice::Divisor, collapsed: (0.002, 0.003), ..SQUARE },
    Law { name: "effective_rank", undefined: Some("no variance"), collapsed: (1.0, 1.3), ..PLAIN },
    Law { name: "rank", collapsed: (0.0, 1e9), ..PLAIN },
];

/// The law of a metric.
pub(crate) fn law(name: &str) -> &'static Law {
    LAWS.iter().find(|law| law.name == name).unwrap_or_else(|| panic!("`{name}` has no law: give it one in laws.rs"))
}
