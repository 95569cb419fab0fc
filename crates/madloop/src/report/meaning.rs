//! What a run means, in two sentences that are made from its numbers alone.

use madloop_core::Record;

use super::curve::{Curve, direction, noun};
use super::series::{Setting, settings};
use super::text::{count, list, pair, sentence_case, short};
use super::view::described;
use super::{Direction, MetricInfo, limits};

/// The metrics that tell most about a loop, best first.
const PREFERRED: [&str; 6] = ["recall", "coverage", "modes_kept", "frechet_distance", "model_trace_cov", "trace_cov"];
/// What a second sentence about a single setting looks at.
const SECOND: [&str; 6] = ["precision", "frechet_distance", "density", "coverage", "trace_cov", "kid"];

/// Two sentences on what the records show.
pub fn meaning(records: &[Record], metrics: &[MetricInfo]) -> String {
    if limits::are_limits(records) {
        return limits::meaning(records);
    }
    let settings = settings(records);
    let metrics = described(records, metrics);
    let scored = |info: &&MetricInfo| settings.iter().any(|s| !s.series(&info.name).points.is_empty());
    let preferred = PREFERRED.iter().filter_map(|name| metrics.iter().find(|info| info.name == *name));
    let directed = metrics.iter().filter(|info| info.direction != Direction::Neither);
    let Some(info) = preferred.chain(directed).chain(&metrics).find(scored) else {
        let outcomes = outcomes(&settings).map_or(String::new(), |text| format!(" {}.", sentence_case(&text)));
        return format!("No metric has a value yet, so there is nothing to compare.{outcomes}");
    };
    let direction = direction(info);
    let curves: Vec<Curve<'_>> =
        settings.iter().filter_map(|setting| Curve::new(setting, &info.name, direction)).collect();
    if curves.iter().all(|curve| curve.first.generation == curve.last.generation) {
        return finish(single_point(&curves, info), String::new(), &settings, &curves);
    }
    let many = curves.len() > 1;
    let Some(worst) = curves.iter().max_by(|a, b| a.loss.total_cmp(&b.loss)) else { return String::new() };
    if many && !worst.lost() {
        let first = none_lost(&curves, info);
        return finish(first, extremes(&curves, direction), &settings, &curves);
    }
    let first = story(worst, info, many);
    let second = if many { others(&curves, worst) } else { second_metric(worst, info, &metrics) };
    finish(first, second, &settings, &curves)
}

/// The sentence on the setting that lost most, or on the only one.
fn story(curve: &Curve<'_>, info: &MetricInfo, many: bool) -> String {
    let real = curve.real();
    let real = if real.is_empty() { real } else { format!(" ({real})") };
    let name = if many { curve.name() } else { format!("the {} loop", curve.setting.kind) };
    let start = format!("{} the {} of {name} {}{real}", curve.when(), noun(info), curve.did());
    if !curve.clear {
        return format!("{start}, so by this measure nothing was clearly lost or gained.");
    }
    let ever = if curve.steady { "ever " } else { "" };
    let than = if curve.steady { "" } else { " than at first" };
    let told = match (info.name.as_str(), curve.fell()) {
        ("recall" | "coverage", true) => format!("its samples cover {ever}less of the real distribution{than}"),
        ("recall" | "coverage", false) => format!("its samples cover more of the real distribution{than}"),
        ("modes_kept", true) => "modes of the real distribution were lost".into(),
        ("modes_kept", false) => "modes of the real distribution were gained".into(),
        ("frechet_distance", false) => {
            let further = if curve.steady { "ever further" } else { "further" };
            format!("its samples moved {further} from the real distribution{than}")
        }
        ("frechet_distance", true) => "its samples came closer to the real distribution".into(),
        ("trace_cov" | "model_trace_cov", true) => format!("it spreads {ever}less{than}"),
        ("trace_cov" | "model_trace_cov", false) => format!("it spreads {ever}more{than}"),
        _ => match direction(info) {
            Direction::Neither if curve.loss > 0.0 && curve.baseline.is_some() => {
                "it moved away from the value of real data".into()
            }
            Direction::Neither => return format!("{start}."),
            _ if curve.loss > 0.0 => "by this measure it got worse".into(),
            _ => "by this measure it got better".into(),
        },
    };
    format!("{start}: {told}.")
}

/// How the other settings compare with the one that lost most.
fn others(curves: &[Curve<'_>], worst: &Curve<'_>) -> String {
    let mut rest: Vec<&Curve<'_>> = curves.iter().filter(|c| !std::ptr::eq(*c, worst)).collect();
    rest.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    let mut kinds: Vec<&str> = curves.iter().map(|c| c.setting.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() == curves.len() && rest.len() <= 3 {
        let clauses: Vec<String> = rest.iter().map(|curve| by_kind(curve, worst)).collect();
        return format!("{}.", sentence_case(&clauses.join(", ")));
    }
    let Some((best, more)) = rest.split_first() else { return String::new() };
    let told =
        format!("{} it {}{}", sentence_case(&setting_words(best, kinds.len() > 1)), best.did(), until(best, worst));
    match more {
        [] => format!("{told}."),
        [other] => {
            format!("{told}; {} it {}{}.", setting_words(other, kinds.len() > 1), other.did(), until(other, worst))
        }
        _ => format!("{told}; {}.", ended_between(more)),
    }
}

fn setting_words(curve: &Curve<'_>, kinds_differ: bool) -> String {
    let details = &curve.setting.details;
    if kinds_differ || details.is_empty() { format!("in {}", curve.name()) } else { format!("with {details}") }
}

/// A clause on a loop that is the only one of its kind.
fn by_kind(curve: &Curve<'_>, worst: &Curve<'_>) -> String {
    let who = match curve.setting.kind.as_str() {
        "fresh data" => "fresh real data in every generation".to_owned(),
        "synthetic augmentation" => "a fixed real set".to_owned(),
        "fully synthetic" => "training on synthetic data alone".to_owned(),
        _ => curve.name(),
    };
    let (a, b) = curve.values();
    let until = until(curve, worst);
    if curve.first.generation == curve.last.generation {
        return format!("{who} has one value so far ({b})");
    }
    if !curve.clear {
        return match curve.small {
            _ if a == b => format!("{who} held it at {b}{until}"),
            true => format!("{who} held it near {b} ({a} at first){until}"),
            false => format!("{who} did not clearly change it ({a} to {b}){until}"),
        };
    }
    if curve.loss <= 0.0 {
        let verb = if curve.fell() { "lowered" } else { "raised" };
        return format!("{who} {verb} it from {a} to {b}{until}");
    }
    // Only losses over the same generations can be compared.
    let comparable = until.is_empty() && curve.first.generation == worst.first.generation;
    let what = if curve.fell() { "loss" } else { "rise" };
    if comparable && curve.fell() == worst.fell() && curve.loss <= 0.75 * worst.loss {
        format!("{who} only slowed the {what} ({a} to {b})")
    } else {
        let verb = if curve.fell() { "fall" } else { "rise" };
        format!("{who} did not stop the {verb} ({a} to {b}){until}")
    }
}

/// Says so when a curve ends elsewhere than the one that it is compared with.
fn until(curve: &Curve<'_>, worst: &Curve<'_>) -> String {
    if curve.last.generation == worst.last.generation {
        return String::new();
    }
    format!(" by generation {}", curve.last.generation)
}

/// `the other 4 ended between a and b`.
fn ended_between(curves: &[&Curve<'_>]) -> String {
    let values = || curves.iter().map(|curve| curve.last.mean);
    let (low, high) = pair(values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let n = curves.len();
    if low == high {
        format!("the other {n} ended at {low}")
    } else {
        format!("the other {n} ended between {low} and {high}")
    }
}

/// The first sentence when several settings lost nothing.
fn none_lost(curves: &[Curve<'_>], info: &MetricInfo) -> String {
    let all: Vec<&Curve<'_>> = curves.iter().collect();
    let ended = ended_between(&all).replace("the other ", "the ");
    let longest = curves.iter().max_by_key(|c| c.last.generation - c.first.generation);
    let when = longest.map_or(String::new(), Curve::when);
    let real = shared_real(curves);
    format!(
        "{when} no setting got clearly worse by the {}: {}{real}.",
        noun(info),
        ended.replace(" ended", " settings ended")
    )
}

/// The second sentence then: the settings at either end.
fn extremes(curves: &[Curve<'_>], direction: Direction) -> String {
    let badness = |curve: &Curve<'_>| match direction {
        Direction::Higher => -curve.last.mean,
        Direction::Lower => curve.last.mean,
        Direction::Neither => (curve.last.mean - curve.baseline.unwrap_or(curve.first.mean)).abs(),
    };
    let by = |a: &&Curve<'_>, b: &&Curve<'_>| badness(a).total_cmp(&badness(b));
    let (Some(best), Some(worst)) = (curves.iter().min_by(by), curves.iter().max_by(by)) else { return String::new() };
    let (a, b) = pair(best.last.mean, worst.last.mean);
    if a == b {
        return "All of them ended alike.".into();
    }
    let words = if direction == Direction::Neither { "stayed closest to its goal" } else { "ended best" };
    let kinds_differ = curves.iter().any(|curve| curve.setting.kind != best.setting.kind);
    let name = |curve: &Curve<'_>| match curve.setting.details.as_str() {
        details if !kinds_differ && !details.is_empty() => format!("the setting {details}"),
        _ => curve.name(),
    };
    format!("{} {words} ({a}), {} worst ({b}).", sentence_case(&name(best)), name(worst))
}

/// What there is to say when every setting has one value.
fn single_point(curves: &[Curve<'_>], info: &MetricInfo) -> String {
    let many = curves.len() > 1;
    let value = |curve: &Curve<'_>| {
        let label = if many { format!(" ({})", curve.setting.label) } else { String::new() };
        format!("{}{label}", short(curve.last.mean))
    };
    let mut shown: Vec<String> = curves.iter().take(4).map(value).collect();
    if curves.len() > 4 {
        shown.push(format!("{} more", curves.len() - 4));
    }
    let at = curves.first().map_or(0, |curve| curve.last.generation);
    let same = curves.iter().all(|curve| curve.last.generation == at);
    let at = if same { format!("At generation {at}") } else { "At the one generation scored so far".into() };
    let rest = "a change shows only when a later generation is scored";
    let real = shared_real(curves);
    format!("{at} the {} is {}{real}. {}.", noun(info), list(&shown), sentence_case(rest))
}

/// ` (real data: 0.83)`, if that is one value for all.
fn shared_real(curves: &[Curve<'_>]) -> String {
    let mut all = curves.iter().map(Curve::real);
    match all.next() {
        Some(first) if !first.is_empty() && all.all(|other| other == first) => format!(" ({first})"),
        _ => String::new(),
    }
}

/// A second sentence on a single setting: another metric, or how much the first can be trusted.
fn second_metric(curve: &Curve<'_>, info: &MetricInfo, metrics: &[MetricInfo]) -> String {
    let others = SECOND.iter().filter(|name| **name != info.name);
    let second = others.filter_map(|name| metrics.iter().find(|m| m.name == *name)).find_map(|other| {
        let found = Curve::new(curve.setting, &other.name, direction(other))?;
        let same = found.first.generation == curve.first.generation && found.last.generation == curve.last.generation;
        same.then_some((other, found))
    });
    let Some((other, found)) = second else {
        return match curve.setting.cells.len() {
            1 => "One seed was run, so chance is not averaged out.".into(),
            n => format!("These are means over up to {n} seeds."),
        };
    };
    let verdict = match (other.name.as_str(), info.name.as_str()) {
        ("precision", "recall" | "coverage") if curve.lost() && found.lost() => ": quality was lost with diversity",
        ("precision", "recall" | "coverage") if curve.lost() && (found.small || found.loss <= 0.0) => {
            ": quality held while diversity was lost"
        }
        _ => "",
    };
    let real = found.real();
    let real = if real.is_empty() { real } else { format!(" ({real})") };
    format!("Meanwhile the {} {}{real}{verdict}.", noun(other), found.did())
}

/// Cells that ended or lost a dimension.
fn outcomes(settings: &[Setting<'_>]) -> Option<String> {
    let cells: Vec<_> = settings.iter().flat_map(|s| &s.cells).collect();
    let with = |name: &str| cells.iter().filter(|c| c.records.iter().any(|r| r.outcome.name() == name)).count();
    let of = count(cells.len(), "cell");
    let mut parts = Vec::new();
    match with("ended") {
        0 => {}
        n => parts.push(format!("{n} of {of} ended early, without a model")),
    }
    match with("degenerate") {
        0 => {}
        n => parts.push(format!("in {n} of {of} a model became degenerate")),
    }
    (!parts.is_empty()).then(|| parts.join(", and "))
}

/// Joins the sentences and adds, after a semicolon, what a reader must know of cells that ended or are missing.
fn finish(first: String, second: String, settings: &[Setting<'_>], curves: &[Curve<'_>]) -> String {
    let mut text = if second.is_empty() { first } else { format!("{first} {second}") };
    let mut notes: Vec<String> = outcomes(settings).into_iter().collect();
    if notes.is_empty() && curves.iter().any(|c| c.last.n_seeds < c.first.n_seeds) {
        notes.push("not every seed has a value at the last generation".into());
    }
    if curves.len() < settings.len() {
        notes.push(format!(
            "{} of {} have no value of this metric",
            settings.len() - curves.len(),
            count(settings.len(), "setting")
        ));
    }
    if !notes.is_empty() {
        let whole = text.trim_end_matches('.').len();
        text.truncate(whole);
        text = format!("{text}; {}.", notes.join("; "));
    }
    text
}

#[cfg(test)]
#[path = "meaning_tests.rs"]
mod tests;
