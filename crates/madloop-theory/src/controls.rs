//! Control variates: what is known exactly takes its share of the noise away.

/// Coefficients of the least-squares regression of `values` on `controls` (each a series as long) and a constant. Controls
/// that do not vary, or repeat others, get 0.
pub(crate) fn coefficients(values: &[f64], controls: &[Vec<f64>]) -> Vec<f64> {
    let centre = |series: &[f64]| -> Vec<f64> {
        let mean = series.iter().sum::<f64>() / series.len() as f64;
        series.iter().map(|value| value - mean).collect()
    };
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    // Gram-Schmidt, remembering what each orthogonal direction is made of.
    let values = centre(values);
    let mut out = vec![0.0; controls.len()];
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for (index, control) in controls.iter().enumerate() {
        let mut direction = centre(control);
        let whole = dot(&direction, &direction);
        let mut made_of = vec![0.0; controls.len()];
        made_of[index] = 1.0;
        for (earlier, parts) in &basis {
            let share = dot(&direction, earlier) / dot(earlier, earlier);
            direction.iter_mut().zip(earlier).for_each(|(d, e)| *d -= share * e);
            made_of.iter_mut().zip(parts).for_each(|(m, p)| *m -= share * p);
        }
        let left = dot(&direction, &direction);
        if left.is_nan() || left <= 1e-10 * whole {
            continue;
        }
        let slope = dot(&values, &direction) / left;
        out.iter_mut().zip(&made_of).for_each(|(out, part)| *out += slope * part);
        basis.push((direction, made_of));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_relations_are_found() {
        let x = vec![1.0, 2.0, 4.0, 7.0, 11.0];
        let y = vec![0.5, -1.0, 3.0, 0.0, 2.0];
        let values: Vec<f64> = x.iter().zip(&y).map(|(x, y)| 3.0 + 2.0 * x - 0.5 * y).collect();
        let twice = x.iter().map(|x| 2.0 * x).collect();
        let got = coefficients(&values, &[x, twice, vec![1.0; 5], y]);
        for (got, expected) in got.iter().zip([2.0, 0.0, 0.0, -0.5]) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
    }
}
