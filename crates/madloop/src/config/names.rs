//! Suggestions for misspelt names.

/// The known name most like `name`, if one is close enough to be meant; one that `name` begins is close.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness =
        |candidate: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
    let known: Vec<&str> = known.into_iter().collect();
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    if likeness(best) >= 0.5 {
        return Some(best);
    }
    known.into_iter().find(|candidate| name.len() >= 3 && candidate.starts_with(&name.to_lowercase()))
}

/// ` Did you mean "x"?`, or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |best| format!(" (did you mean \"{best}\"?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested() {
        let known = ["quickstart", "mnist-gmm", "fig10-gaussian"];
        assert_eq!(nearest("quikstart", known), Some("quickstart"));
        assert_eq!(nearest("mnist_gmm", known), Some("mnist-gmm"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest("frechet", ["kid", "frechet_distance"]), Some("frechet_distance"));
    }
}
