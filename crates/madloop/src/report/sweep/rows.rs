//! A chart as a table: a line's values, or where a map crosses its contour.

use super::super::label::plain;
use super::super::text::number;
use super::{Body, ChartTable, Line, Map, Sweep};

/// The chart as a table. Of a map with a contour: for every x and panel the largest y up to which the metric is no less.
pub(super) fn table(sweep: &Sweep) -> ChartTable {
    let x = |row: &f64| plain(*row);
    let (what, titles, rows): (String, Vec<String>, Vec<Vec<String>>) = match &sweep.body {
        Body::Lines { panels, .. } => {
            let all =
                panels.iter().flat_map(|panel| panel.lines.iter().map(|line| (join(&panel.title, &line.label), line)));
            let lines: Vec<(String, &Line)> = all.collect();
            let value = |line: &Line, x: f64| {
                let point = line.points.iter().find(|point| point.x == x);
                point.map_or_else(|| "–".into(), |point| number(point.mean, 3))
            };
            let row = |at: &f64| std::iter::once(x(at)).chain(lines.iter().map(|(_, line)| value(line, *at))).collect();
            let titles = lines.iter().map(|(title, _)| named(title, &sweep.metric.title)).collect();
            (sweep.metric.title.clone(), titles, sweep.x.values.iter().map(row).collect())
        }
        Body::Maps { y, panels, contours } => {
            let contour = contours.first().copied();
            let what = match contour {
                Some(level) => format!("{} up to which {} is {} or more", y.title, sweep.metric.title, plain(level)),
                None => format!("{} over {}", sweep.metric.title, y.title),
            };
            let cell = |panel: &Map, i: usize| match contour {
                Some(contour) => crossing(&y.values, &panel.values[i], contour),
                None => range(&panel.values[i]),
            };
            let row = |(i, at): (usize, &f64)| {
                std::iter::once(x(at)).chain(panels.iter().map(|panel| cell(panel, i))).collect()
            };
            let titles = panels.iter().map(|panel| named(&panel.title, &sweep.metric.title)).collect();
            (what, titles, sweep.x.values.iter().enumerate().map(row).collect())
        }
    };
    let header = std::iter::once(sweep.x.title.clone()).chain(titles).collect();
    ChartTable { title: sweep.title.clone(), what, header, rows }
}

fn join(panel: &str, line: &str) -> String {
    match (panel.is_empty(), line.is_empty()) {
        (false, false) => format!("{panel}, {line}"),
        (true, _) => line.to_owned(),
        (_, true) => panel.to_owned(),
    }
}

fn named(title: &str, metric: &str) -> String {
    if title.is_empty() { metric.to_owned() } else { title.to_owned() }
}

/// Up to which y the values stay at or above `level`, between the grid's values by a straight line in the logarithms.
pub(super) fn crossing(ys: &[f64], values: &[Option<f64>], level: f64) -> String {
    let known: Vec<(f64, f64)> = ys.iter().zip(values).filter_map(|(&y, value)| Some((y, (*value)?))).collect();
    let Some(last) = known.iter().rposition(|(_, value)| *value >= level) else {
        return match known.first() {
            Some((y, _)) => format!("below {}", number(*y, 3)),
            None => "–".into(),
        };
    };
    let (y, value) = known[last];
    match known.get(last + 1) {
        None => format!("{} and more", number(y, 3)),
        Some(&(above, next)) => {
            let share = if value > 0.0 && next > 0.0 && level > 0.0 {
                (value / level).ln() / (value / next).ln()
            } else {
                (value - level) / (value - next)
            };
            let at = if y > 0.0 { (y.ln() + share * (above / y).ln()).exp() } else { y + share * (above - y) };
            number(at, 3)
        }
    }
}

fn range(values: &[Option<f64>]) -> String {
    let known = || values.iter().flatten().copied();
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    if low > high { "–".into() } else { format!("{} to {}", number(low, 3), number(high, 3)) }
}

#[cfg(test)]
mod tests {
    use super::crossing;

    #[test]
    fn a_crossing_lies_where_the_value_reaches_the_level() {
        let ys = [10.0, 100.0, 1000.0];
        assert_eq!(crossing(&ys, &[Some(2.0), Some(2.0), Some(0.5)], 1.0), "316");
        assert_eq!(crossing(&ys, &[Some(2.0), Some(1.5), Some(1.2)], 1.0), "1000 and more");
        assert_eq!(crossing(&ys, &[Some(0.9), Some(0.8), None], 1.0), "below 10");
        assert_eq!(crossing(&ys, &[None, None, None], 1.0), "–");
    }
}
