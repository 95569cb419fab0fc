//! Which rows are held back as the reference: fixed forever, in the classes' proportions.

use madloop_core::{Seeds, Stream};
use rand::seq::SliceRandom;

/// Rows that [`reference_rows`] holds back of `n` when the user does not say: a fifth, at most 10,000.
pub(crate) fn default_n_reference(n: usize) -> usize {
    (n / 5).min(10_000)
}

/// The `wanted` (at most `n`) rows of `n` that are held back, ascending.
///
/// Each class of C_k rows gives floor(wanted C_k / n), and the classes with the largest remainders one more (the smaller label first
/// when they tie). Within a class the rows are the first of a shuffle that depends on the class alone. It never changes
/// with the seed of a run, so that reference rows never train.
pub(crate) fn reference_rows(labels: Option<&[u32]>, n: usize, wanted: usize) -> Vec<usize> {
    let n_classes = labels.and_then(|labels| labels.iter().max()).map_or(1, |&class| class as usize + 1);
    let mut classes = vec![Vec::new(); n_classes];
    for row in 0..n {
        classes[labels.map_or(0, |labels| labels[row] as usize)].push(row);
    }
    let mut quotas: Vec<usize> = classes.iter().map(|rows| rows.len() * wanted / n.max(1)).collect();
    let mut by_remainder: Vec<usize> = (0..n_classes).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(classes[class].len() * wanted % n.max(1)));
    let missing = wanted - quotas.iter().sum::<usize>();
    for &class in &by_remainder[..missing] {
        quotas[class] += 1;
    }
    let mut held_back = Vec::with_capacity(wanted);
    for (class, (mut rows, quota)) in classes.into_iter().zip(quotas).enumerate() {
        rows.shuffle(&mut Seeds::new(0).rng(Stream::named("split"), class as u64));
        held_back.extend_from_slice(&rows[..quota]);
    }
    held_back.sort_unstable();
    held_back
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_follows_the_classes_and_never_changes() {
        let labels: Vec<u32> = (0..90).map(|row| u32::from(row >= 30)).collect();
        let held_back = reference_rows(Some(&labels), 90, 10);
        assert_eq!(held_back.len(), 10);
        let of_class_0 = held_back.iter().filter(|&&row| row < 30).count();
        assert_eq!(of_class_0, 3, "3.33 of 10 rows are of a class that is a third");
        assert_eq!(reference_rows(None, 12, 4), GOLDEN_12_4);
        assert_eq!(reference_rows(None, 5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(reference_rows(None, 5, 0), [0; 0]);
        assert_eq!(default_n_reference(1_000), 200);
        assert_eq!(default_n_reference(70_000), 10_000);
    }
    // Changing it lets reference rows of published runs train.
    const GOLDEN_12_4: [usize; 4] = [4, 6, 8, 10];
}
