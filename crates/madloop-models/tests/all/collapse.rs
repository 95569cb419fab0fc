//! Collapse is an outcome: every family on identical samples, n = 2, n <= d, zero variance and values that are not numbers.

use madloop_core::*;
use madloop_models::{Covariance, GaussianConfig, GmmConfig, KdeConfig};

use crate::common::*;

fn trainers() -> Vec<Box<dyn Trainer>> {
    let gmm = |covariance| GmmConfig { components: 4, covariance, ..GmmConfig::default() }.trainer().unwrap();
    vec![
        GaussianConfig::default().trainer(),
        KdeConfig::default().trainer().unwrap(),
        gmm(Covariance::Full),
        gmm(Covariance::Diagonal),
        gmm(Covariance::Spherical),
    ]
}

/// Trains, demands a degenerate outcome whose reason contains one of `words`, and samples without a NaN.
fn degenerate(trainer: &dyn Trainer, mix: &Mix, words: &[&str]) -> Samples {
    let (model, why) = model(train_in(trainer, mix, 1));
    let why = why.unwrap_or_else(|| panic!("{} should be degenerate", trainer.family()));
    assert!(words.iter().any(|word| why.contains(word)), "{}: {why}", trainer.family());
    let samples = model.sample(0..50, SamplingBias::UNBIASED, Seeds::new(1).at(1)).unwrap();
    samples.check_finite("samples").unwrap();
    samples
}

#[test]
fn identical_samples_stay_identical() {
    for trainer in trainers() {
        for n in [1, 2, 40] {
            let set = mix(Shape::vector(3), [1.5, -2.0, 7.0].repeat(n));
            let samples = degenerate(trainer.as_ref(), &set, &["zero variance", "only 1 of 4"]);
            assert!(samples.to_f32().chunks(3).all(|row| row == [1.5, -2.0, 7.0]), "{}", trainer.family());
        }
    }
}

#[test]
fn two_samples_span_a_line() {
    for trainer in trainers() {
        let set = mix(Shape::vector(3), vec![0.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
        let samples = degenerate(trainer.as_ref(), &set, &["rank 1 of 3", "only 2 of 4"]);
        for row in samples.to_f32().chunks(3) {
            assert!((row[1] - 2.0 * row[0]).abs() < 1e-5 && (row[2] - 3.0 * row[0]).abs() < 1e-5, "{row:?}");
        }
    }
}

#[test]
fn fewer_samples_than_dimensions() {
    let set = StandardGaussian(20).draw(0..8, Stream::REAL, Seeds::new(3));
    for trainer in trainers() {
        let set = Mix::of(set.clone()).unwrap();
        let (model, why) = model(train_in(trainer.as_ref(), &set, 1));
        // A spherical component needs two samples only; every other family sees the singularity.
        assert!(why.is_some() || trainer.family() == "gmm", "{}", trainer.family());
        model.sample(0..50, SamplingBias::UNBIASED, Seeds::new(1).at(1)).unwrap().check_finite("samples").unwrap();
    }
    let gaussian = GaussianConfig::default().trainer();
    degenerate(gaussian.as_ref(), &Mix::of(set).unwrap(), &["rank 7 of 20 (n = 8)"]);
}

#[test]
fn a_dimension_without_variance_keeps_its_value() {
    let values = StandardGaussian(2).draw(0..200, Stream::REAL, Seeds::new(3)).to_f32();
    let values = values.chunks(2).flat_map(|row| [row[0], 0.25, row[1]]).collect();
    let set = mix(Shape::vector(3), values);
    for trainer in &trainers()[..4] {
        let samples = degenerate(trainer.as_ref(), &set, &["rank 2 of 3", "singular"]);
        assert!(samples.to_f32().chunks(3).all(|row| (row[1] - 0.25).abs() < 1e-6), "{}", trainer.family());
    }
}

#[test]
fn a_value_that_is_not_a_number_ends_the_cell() {
    for trainer in trainers() {
        for bad in [f32::NAN, f32::INFINITY] {
            let set = mix(Shape::vector(2), vec![0.0, 1.0, 2.0, bad, 1.0, 0.0]);
            match train_in(trainer.as_ref(), &set, 1) {
                Trained::Ended(why) => assert!(why.contains("sample 1") && why.contains("column 1"), "{why}"),
                _ => panic!("{} trained on {bad}", trainer.family()),
            }
        }
    }
}

#[test]
fn the_floor_keeps_components_regular() {
    let set = mix(Shape::vector(2), vec![0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 5.0, 5.0]);
    for covariance in [Covariance::Full, Covariance::Diagonal, Covariance::Spherical] {
        let config = GmmConfig { components: 2, covariance, covariance_floor: 0.01, ..GmmConfig::default() };
        let (model, why) = model(train_in(config.trainer().unwrap().as_ref(), &set, 1));
        assert_eq!(why, None);
        let samples = model.sample(0..4000, SamplingBias::UNBIASED, Seeds::new(1).at(1)).unwrap().to_f32();
        let near: Vec<f64> = samples.iter().filter(|x| **x < 2.5).map(|&x| f64::from(x).powi(2)).collect();
        let (variance, error) = mean_and_error(&near);
        assert!((variance - 0.01).abs() < 5.0 * error, "{covariance:?}: {variance} +- {error}");
    }
}

#[test]
fn a_singular_component_does_not_stop_the_others() {
    // A point of 30 equal samples beside two Gaussians: the fit of the Gaussians must be what it is without the point.
    let normals = StandardGaussian(2).draw(0..400, Stream::REAL, Seeds::new(6)).to_f32();
    let place = |(i, row): (usize, &[f32])| [row[0] + if i % 2 == 0 { 0.0 } else { 20.0 }, 2.0 * row[1]];
    let clouds: Vec<f32> = normals.chunks(2).enumerate().flat_map(place).collect();
    let with_point: Vec<f32> = clouds.iter().copied().chain([-20.0, 5.0].repeat(30)).collect();
    let fit = |components, values| {
        let config = GmmConfig { components, ..GmmConfig::default() };
        model(train_in(config.trainer().unwrap().as_ref(), &mix(Shape::vector(2), values), 1))
    };
    let ((alone, none), (beside, why)) = (fit(2, clouds), fit(3, with_point));
    assert_eq!(none, None);
    assert!(why.as_deref().unwrap().contains("1 of 3 components are singular"), "{why:?}");
    let moments = |model: &dyn Generator| {
        let samples = model.sample(0..60_000, SamplingBias::UNBIASED, Seeds::new(6).at(1)).unwrap().to_f32();
        let near: Vec<&[f32]> = samples.chunks(2).filter(|row| row[0].abs() < 8.0).collect();
        let of = |axis: usize| mean_and_error(&near.iter().map(|row| f64::from(row[axis])).collect::<Vec<_>>());
        let n = near.len() as f64;
        [of(0).0, of(0).1 * n.sqrt(), of(1).0, of(1).1 * n.sqrt()]
    };
    for (a, b) in moments(alone.as_ref()).into_iter().zip(moments(beside.as_ref())) {
        // Both draws have about 28,000 samples there: 5 standard errors of a mean with sd 2 are 0.06.
        assert!((a - b).abs() < 0.09, "{a} against {b}");
    }
}
