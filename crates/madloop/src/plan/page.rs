//! The plan for readers: sentences, phase diagrams, a page.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CANNOT_SEE, Grid, Lasting, Plan};
use crate::report::{Map, MetricInfo, Sweep, document, escape, figure, number, part, plain_table, write_drawing};
use crate::store::write_atomically;
use crate::{Error, Result};

/// A lambda as it was given, an estimated one to three digits.
fn plain(value: f64) -> String {
    let rounded: f64 = format!("{value:.3}").parse().unwrap_or(value);
    rounded.to_string()
}

/// A count to two digits.
fn rounded(count: u64) -> String {
    let step = 10_u64.pow(count.max(1).ilog10().saturating_sub(1));
    (count.div_euclid(step) * step).to_string()
}

impl Plan {
    /// What was found, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let Self { input, planned, n_real, safe, best, budget, .. } = self;
        let short = |value: f64| number(value, 3);
        let constant = match input.constant {
            0 => String::new(),
            n => format!(" ({n} of them constant and left out)"),
        };
        let rows = input.rows.map_or_else(String::new, |rows| format!(", {rows} rows"));
        let mut all = vec![format!(
            "Features: {}, {} dimensions{constant}{rows}. The dimension that carries the answer is {}, the effective dimension of \
             their spectrum; more dimensions would mean a larger answer.",
            input.features,
            input.dim,
            short(planned.effective_dimension()),
        )];
        let (directions, group) = (planned.directions(), planned.group());
        if group > 1.0 {
            all.push(format!(
                "Calculated in {directions} directions, each for {group:.1} dimensions like it; thresholds so found are within about 10 %."
            ));
        } else if directions < planned.dim() {
            all.push(format!(
                "Calculated in the {directions} leading directions, which carry {:.0} % of the variance; thresholds so found are \
                 within about 10 %.",
                100.0 * planned.variance_share()
            ));
        }
        let lambda = plain(input.bias.value);
        all.push(match (&input.bias.from, input.bias.interval) {
            (Some(from), Some((low, high))) => format!(
                "Sampling bias: lambda = {lambda} (95 %: {} to {}), estimated from {}.",
                short(low),
                short(high),
                from.display()
            ),
            _ => format!("Sampling bias: lambda = {lambda}."),
        });
        let beside = format!("beside {n_real} fresh real ones a generation");
        let open = |end: Option<f64>| end.map_or_else(|| "without bound".to_owned(), short);
        all.push(match (safe.threshold.n_synthetic_max, safe.threshold.ci) {
            (None, _) => format!("Safe amount: any. No amount of synthetic data harms {beside}."),
            (Some(0), _) => format!("Safe amount: none. Any synthetic sample harms {beside}."),
            (Some(most), Some(_)) => format!(
                "Safe amount: up to {most} synthetic samples {beside} (95 %: {} to {}).",
                open(safe.low),
                open(safe.high)
            ),
            (Some(most), None) => format!("Safe amount: up to {most} synthetic samples {beside}."),
        });
        if let Some(best) = best {
            all.push(format!(
                "Best amount: about {} synthetic samples; the loop is then as good as one model of {} real samples ({} times the fresh ones).",
                rounded(best.n_synthetic),
                short(best.n_e),
                short(best.n_e_over_n_r.mean)
            ));
        } else if safe.threshold.n_synthetic_max != Some(0) {
            all.push("Best amount: none that buys anything.".into());
        }
        if let Some(budget) = budget {
            let judged = if budget.n_e_over_n_r.mean >= 1.0 { "it does no harm" } else { "it harms" };
            all.push(format!(
                "With the budget of {} synthetic samples the loop is as good as one model of {} real samples ({} times): {judged}.",
                budget.n_synthetic,
                short(budget.n_e),
                short(budget.n_e_over_n_r.mean)
            ));
        }
        all
    }

    /// How long diversity lasts: a header and a row a policy.
    pub fn lasting(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let header = ["policy", "each generation", "variance in the tail directions"];
        let row = |Lasting { policy, what, half_life }: &Lasting| {
            let lasts = match half_life.generations {
                Some(1) => "less than half from the first generation on".to_owned(),
                Some(t) => format!("halved at generation {t}"),
                None => format!("does not halve: stays at {:.0} %", 100.0 * half_life.share),
            };
            vec![policy.replace('-', " "), what.clone(), lasts]
        };
        (header.map(str::to_owned).to_vec(), self.lasting.iter().map(row).collect())
    }

    /// What to know about the input.
    pub fn notes(&self) -> &[String] {
        &self.input.notes
    }

    /// Writes plan.json, both phase diagrams as SVG and PNG, and report.html into `dir` (made if need be); returns the page.
    ///
    /// # Errors
    /// A folder that cannot be written.
    #[expect(clippy::disallowed_methods, reason = "the plan is written to files")]
    pub fn write(&self, dir: &Path) -> Result<PathBuf> {
        const REMEDY: &str = "check that the folder can be written and the disk is not full";
        fs::create_dir_all(dir).map_err(Error::io("make the folder", dir, REMEDY))?;
        let json = serde_json::to_string_pretty(&self.to_json()).map_err(madloop_core::Error::other)?;
        write_atomically(&dir.join("plan.json"), (json + "\n").as_bytes())?;
        let diagrams = self.diagrams();
        for diagram in &diagrams {
            write_drawing(diagram, dir, &diagram.name)?;
        }
        let page = dir.join("report.html");
        write_atomically(&page, self.html(&diagrams).as_bytes())?;
        Ok(page)
    }

    fn diagrams(&self) -> [Sweep; 2] {
        let [reals, lambdas] = &self.maps;
        let lambda = plain(self.input.bias.value);
        let metric = MetricInfo {
            title: "n_e / n_r".into(),
            what: "effective sample size over the fresh real samples: above 1 (blue) synthetic data helps, below (orange) it harms"
                .into(),
            ..MetricInfo::unknown("n_e_over_n_r")
        };
        let marks = |x: f64| -> Vec<(f64, f64, String)> {
            let mut marks = Vec::new();
            let same = |a: u64, b: u64| (a as f64 / b as f64).ln().abs() < 0.2;
            if let Some(best) = &self.best {
                let also = self.budget.is_some_and(|budget| same(budget.n_synthetic, best.n_synthetic));
                marks.push((x, best.n_synthetic as f64, if also { "best, budget".into() } else { "best".into() }));
            }
            if let Some(budget) =
                self.budget.filter(|budget| self.best.is_none_or(|best| !same(budget.n_synthetic, best.n_synthetic)))
            {
                marks.push((x, budget.n_synthetic as f64, "budget".into()));
            }
            marks
        };
        let map = |grid: &Grid, x: f64| Map { title: String::new(), values: grid.values.clone(), marks: marks(x) };
        let y = |grid: &Grid| ("synthetic samples n_s", grid.ys.clone());
        [
            Sweep::map(
                "phase-n_real",
                format!("What synthetic data is worth at λ = {lambda}"),
                metric.clone(),
                [("fresh real samples n_r", reals.xs.clone()), y(reals)],
                map(reals, self.n_real as f64),
                1.0,
            ),
            Sweep::map(
                "phase-lambda",
                format!("What synthetic data is worth beside {} fresh real samples", self.n_real),
                metric,
                [("sampling bias λ", lambdas.xs.clone()), y(lambdas)],
                map(lambdas, self.input.bias.value),
                1.0,
            ),
        ]
    }

    fn html(&self, diagrams: &[Sweep; 2]) -> String {
        let items = |texts: &mut dyn Iterator<Item = &str>| -> String {
            texts.map(|text| format!("<li>{}</li>", escape(text))).collect::<Vec<_>>().concat()
        };
        let sentences = self.sentences();
        let mut body = format!(
            r#"<article class="scope"><header><p class="over">A plan for fresh and synthetic data · {}</p><h1>{}</h1>"#,
            escape(&self.input.path.display().to_string()),
            escape(&self.headline()),
        );
        body.push_str(&format!("<ul>{}</ul></header>", items(&mut sentences.iter().map(String::as_str))));
        body.push_str(&part("Phase diagrams", &diagrams.iter().map(figure).collect::<Vec<_>>().concat()));
        let (header, rows) = self.lasting();
        body.push_str(&part("How long diversity lasts", &plain_table(&header, &rows, "how long diversity lasts")));
        body.push_str(&part("What this cannot see", &format!("<ul>{}</ul>", items(&mut CANNOT_SEE.into_iter()))));
        if !self.notes().is_empty() {
            body.push_str(&part("Notes", &format!("<ul>{}</ul>", items(&mut self.notes().iter().map(String::as_str)))));
        }
        let json = serde_json::to_string_pretty(&self.to_json()).unwrap_or_default();
        let numbers = format!(
            r#"<details><summary>All numbers</summary><pre tabindex="0"><code>{}</code></pre></details></article>"#,
            escape(&json)
        );
        body.push_str(&part("How it was made", &numbers));
        document("A plan for fresh and synthetic data", &body)
    }

    fn headline(&self) -> String {
        match self.safe.threshold.n_synthetic_max {
            None => format!("Any amount of synthetic data is safe beside {} fresh real samples", self.n_real),
            Some(0) => format!("No synthetic data is safe beside {} fresh real samples", self.n_real),
            Some(most) => format!("Up to {most} synthetic samples are safe beside {} fresh real ones", self.n_real),
        }
    }
}
