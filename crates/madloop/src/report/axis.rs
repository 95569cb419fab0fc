//! Axes with round ticks.

use super::Direction;
use super::text::{number, superscript};

/// An axis: its range, its scale and its ticks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) log: bool,
    pub(crate) ticks: Vec<(f64, String)>,
}

/// Decades beyond which distances are drawn on a log scale.
const LOG_DECADES: f64 = 1.5;

impl Axis {
    /// Where a value lies, from 0 (low) to 1 (high).
    pub(crate) fn at(&self, value: f64) -> f64 {
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

/// The axis of a metric that shows all of `values`.
pub(crate) fn value_axis(values: &[f64], direction: Direction) -> Axis {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return linear(0.0, 1.0);
    }
    if high - low <= 1e-9 * low.abs().max(high.abs()) {
        // A constant: room on both sides, and 0 to 1 for zero.
        let room = 0.25 * low.abs();
        return if low == 0.0 { linear(0.0, 1.0) } else { linear(low - room, high + room) };
    }
    if direction != Direction::Higher && low > 0.0 && (high / low).log10() > LOG_DECADES {
        return logarithmic(low, high);
    }
    if low >= 0.0 && low <= 0.6 * high {
        return linear(0.0, high);
    }
    linear(low, high)
}

fn linear(low: f64, high: f64) -> Axis {
    let step = round_step((high - low) / 4.5);
    let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
    let count = (last - first).max(1.0) as usize;
    let largest = (first.abs()).max(last.abs()) * step;
    let label = |value: f64| {
        if value == 0.0 {
            "0".into()
        } else if !(1e-3..1e5).contains(&largest) {
            number(value, (largest / step).log10().ceil() as usize + 1)
        } else {
            let decimals = (-step.log10().floor()).max(0.0) as usize;
            format!("{value:.decimals$}").replacen('-', "−", 1)
        }
    };
    let ticks = (0..=count).map(|i| (first + i as f64) * step).map(|value| (value, label(value))).collect();
    Axis { low: first * step, high: (first + count as f64) * step, log: false, ticks }
}

fn logarithmic(low: f64, high: f64) -> Axis {
    let room = (high / low).powf(0.05);
    let (low, high) = (low / room, high * room);
    let decades = (low.log10().ceil() as i32)..=(high.log10().floor() as i32);
    let n = decades.clone().count();
    let every = n.div_ceil(7).max(1);
    let factors: &[f64] = match n {
        0..=2 => &[1.0, 2.0, 5.0],
        3 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let mut ticks = Vec::new();
    for exponent in (low.log10().floor() as i32)..=(high.log10().floor() as i32) {
        for factor in factors {
            let value = factor * 10f64.powi(exponent);
            if (low..=high).contains(&value) && exponent.rem_euclid(every as i32) == 0 {
                ticks.push((value, log_label(*factor, exponent)));
            }
        }
    }
    Axis { low, high, log: true, ticks }
}

/// The axis of the values of a swept key: logarithmic where they are positive and span a factor of 8 or more. With `cells` it
/// reaches half a step beyond the first and the last, else a little.
pub(crate) fn map_axis(values: &[f64], cells: bool) -> Axis {
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return linear(0.0, 1.0) };
    let log = first > 0.0 && last / first >= 8.0;
    let on = |value: f64| if log { value.ln() } else { value };
    let back = |place: f64| if log { place.exp() } else { place };
    let n = values.len();
    let (below, above) = match n {
        1 => (0.5, 0.5),
        _ if cells => ((on(values[1]) - on(first)) / 2.0, (on(last) - on(values[n - 2])) / 2.0),
        _ => (0.03 * (on(last) - on(first)), 0.03 * (on(last) - on(first))),
    };
    let (low, high) = (back(on(first) - below), back(on(last) + above));
    let mut axis = if log { logarithmic(low, high) } else { linear(low, high) };
    axis.ticks.retain(|(value, _)| (low..=high).contains(value));
    Axis { low, high, ..axis }
}

fn log_label(factor: f64, exponent: i32) -> String {
    let value = factor * 10f64.powi(exponent);
    match exponent {
        -2..=-1 => format!("{value:.*}", -exponent as usize),
        0..=4 => format!("{value:.0}"),
        _ if factor == 1.0 => format!("10{}", superscript(exponent)),
        _ => format!("{factor}×10{}", superscript(exponent)),
    }
}

/// The axis of generations, with ticks at whole numbers only.
pub(crate) fn generation_axis(first: u32, last: u32) -> Axis {
    let (low, high) = (f64::from(first), f64::from(last));
    if first >= last {
        return Axis { low: low - 1.0, high: low + 1.0, log: false, ticks: vec![(low, first.to_string())] };
    }
    let span = last - first;
    let mut ticks = Vec::new();
    if span <= 11 {
        ticks.extend((first..=last).map(|t| (f64::from(t), t.to_string())));
    } else {
        let step = round_step(f64::from(span) / 6.0).max(1.0) as u32;
        ticks.push((low, first.to_string()));
        // The first multiple must leave room for the tick of the first generation.
        let start = (first + step / 2 + 1).next_multiple_of(step);
        ticks.extend((start..=last).step_by(step as usize).map(|t| (f64::from(t), t.to_string())));
    }
    Axis { low, high, log: false, ticks }
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = rough / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|f| *f >= factor - 1e-9).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn shares_begin_at_zero() {
        let axis = value_axis(&[0.08, 0.83], Direction::Higher);
        assert_eq!(labels(&axis), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!((axis.low, axis.high), (0.0, 1.0));
        let near = value_axis(&[0.95, 0.99], Direction::Higher);
        assert!(near.low > 0.9 && near.ticks.len() >= 3, "{near:?}");
    }

    #[test]
    fn distances_over_decades_are_logarithmic() {
        let axis = value_axis(&[0.02, 50.0], Direction::Lower);
        assert!(axis.log);
        assert_eq!(labels(&axis), ["0.03", "0.1", "0.3", "1", "3", "10", "30"]);
        assert_eq!(labels(&value_axis(&[0.3, 12.0], Direction::Lower)), ["0.5", "1", "2", "5", "10"]);
        assert!(!value_axis(&[0.02, 50.0], Direction::Higher).log);
        assert!(!value_axis(&[0.0, 50.0], Direction::Lower).log);
        assert!(!value_axis(&[5.0, 50.0], Direction::Lower).log);
        let wide = value_axis(&[1e-30, 1.0], Direction::Neither);
        assert!((3..=8).contains(&wide.ticks.len()), "{wide:?}");
        assert!(axis.at(0.02) > 0.0 && axis.at(50.0) < 1.0);
    }

    #[test]
    fn odd_ranges_have_axes() {
        for values in [&[][..], &[0.0], &[3.0], &[-2.0, -2.0], &[-1.0, 1.0], &[1e7, 3e7], &[1e-6, 2e-6]] {
            let axis = value_axis(values, Direction::Lower);
            assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{values:?}: {axis:?}");
            assert!(values.iter().all(|v| (0.0..=1.0).contains(&axis.at(*v))), "{values:?}: {axis:?}");
        }
    }

    #[test]
    fn generations_are_whole() {
        assert_eq!(labels(&generation_axis(1, 10)).len(), 10);
        assert_eq!(labels(&generation_axis(1, 40)), ["1", "10", "20", "30", "40"]);
        assert_eq!(labels(&generation_axis(1, 2000)), ["1", "500", "1000", "1500", "2000"]);
        assert_eq!(labels(&generation_axis(1, 16)), ["1", "5", "10", "15"]);
        assert_eq!(labels(&generation_axis(3, 3)), ["3"]);
    }
}
