//! What every family promises: rows by address, whole saves, and its own formulas.

use madloop_core::*;
use madloop_models::{Bandwidth, Covariance, GaussianConfig, GmmConfig, KdeConfig};
use proptest::prelude::*;

use crate::common::*;

fn trainers(per_class: bool) -> Vec<Box<dyn Trainer>> {
    let gmm =
        |covariance| GmmConfig { components: 3, covariance, per_class, ..GmmConfig::default() }.trainer().unwrap();
    vec![
        GaussianConfig { per_class }.trainer(),
        KdeConfig { per_class, ..KdeConfig::default() }.trainer().unwrap(),
        gmm(Covariance::Full),
        gmm(Covariance::Diagonal),
        gmm(Covariance::Spherical),
    ]
}

/// Two classes of 3-d Gaussians, at 0 and at 10.
fn labelled(n: usize) -> Samples {
    let labels: Vec<u32> = (0..n as u32).map(|row| row % 2).collect();
    let values = StandardGaussian(3).draw(0..n as u64, Stream::REAL, Seeds::new(8)).to_f32();
    let shifted = values.iter().enumerate().map(|(i, x)| x + 10.0 * labels[i / 3] as f32).collect();
    Samples::from_f32(Shape::vector(3), shifted).and_then(|set| set.with_labels(labels)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn rows_do_not_depend_on_batches(start in 0_u64..500, first in 1_u64..90, second in 1_u64..90, seed: u64, per_class: bool) {
        let set = Mix::of(labelled(60)).unwrap();
        for trainer in trainers(per_class) {
            let (model, _) = model(train_in(trainer.as_ref(), &set, seed));
            let seeds = Seeds::new(seed).at(4);
            let draw = |rows| model.sample(rows, lambda(0.7), seeds).unwrap();
            let whole = draw(start..start + first + second);
            let parts = [draw(start..start + first), draw(start + first..start + first + second)];
            prop_assert_eq!(whole.to_f32(), parts.iter().flat_map(Samples::to_f32).collect::<Vec<_>>());
            let labels = parts.iter().flat_map(|part| part.labels().unwrap_or(&[]).to_vec()).collect::<Vec<_>>();
            prop_assert_eq!(whole.labels().unwrap_or(&[]).to_vec(), labels);
        }
    }
}

#[test]
fn a_saved_model_samples_the_same_bits() {
    let set = Mix::of(labelled(60)).unwrap();
    for trainer in trainers(false).iter().chain(&trainers(true)) {
        let (model, _) = model(train_in(trainer.as_ref(), &set, 5));
        let mut blobs = MemoryBlobs::default();
        model.save(&mut blobs).unwrap();
        let loaded = trainer.load(&blobs).unwrap();
        let draw = |model: &dyn Generator| model.sample(0..100, lambda(0.9), Seeds::new(5).at(2)).unwrap().to_f32();
        assert_eq!(draw(model.as_ref()), draw(loaded.as_ref()), "{}", trainer.family());
        assert_eq!(model.gaussian(), loaded.gaussian());
    }
}

#[test]
fn a_model_that_is_not_whole_is_refused() {
    let set = Mix::of(labelled(60)).unwrap();
    let trainers = trainers(false);
    let saved = |trainer: &dyn Trainer| {
        let mut blobs = MemoryBlobs::default();
        model(train_in(trainer, &set, 5)).0.save(&mut blobs).unwrap();
        blobs
    };
    let gaussian = saved(trainers[0].as_ref());
    let refused = |trainer: &dyn Trainer, blobs: &MemoryBlobs| match trainer.load(blobs) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{} accepted a model that is not its own", trainer.family()),
    };
    assert!(refused(trainers[0].as_ref(), &MemoryBlobs::default()).contains("missing"));
    assert!(refused(trainers[1].as_ref(), &gaussian).contains("points is missing"));
    let kde = saved(trainers[1].as_ref());
    assert!(refused(trainers[0].as_ref(), &kde).contains("not part of this model"));
    let mut cut = gaussian;
    cut.0.values_mut().for_each(|bytes| bytes.truncate(bytes.len() - 3));
    assert!(refused(trainers[0].as_ref(), &cut).contains("model.safetensors"));
}

#[test]
fn classes_are_modelled_apart_in_the_real_proportions() {
    let set = labelled(90);
    let classes = ClassSchedule::from_counts(&[2, 1]);
    for trainer in trainers(true) {
        let mut context = Context {
            seeds: Seeds::new(1).at(1),
            classes: Some(&classes),
            previous: None,
            scratch: &mut MemoryBlobs::default(),
            cancel: &Cancel::default(),
            progress: &|_| {},
        };
        let trained = trainer.train(&Mix::of(set.clone()).unwrap(), &mut context).unwrap();
        let samples = model(trained).0.sample(0..30, SamplingBias::UNBIASED, Seeds::new(1).at(1)).unwrap();
        let labels = samples.labels().unwrap();
        assert_eq!(labels.iter().filter(|label| **label == 0).count(), 20);
        for (row, label) in samples.to_f32().chunks(3).zip(labels) {
            assert!((row[0] - 10.0 * *label as f32).abs() < 6.0, "{row:?} of class {label}");
        }
    }
    let unlabelled = mix(Shape::vector(1), vec![0.0, 1.0]);
    let mut context = Context {
        seeds: Seeds::new(1).at(1),
        classes: None,
        previous: None,
        scratch: &mut MemoryBlobs::default(),
        cancel: &Cancel::default(),
        progress: &|_| {},
    };
    let error = trainers(true)[0].train(&unlabelled, &mut context).err().unwrap().to_string();
    assert!(error.contains("per_class"), "{error}");
}

/// Covariance (divisor n) of rows of `d`, and its mean.
fn moments(values: &[f32], d: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (values.len() / d) as f64;
    let mut mean = vec![0.0; d];
    values.chunks(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += f64::from(*x) / n));
    let mut covariance = vec![0.0; d * d];
    for row in values.chunks(d) {
        for i in 0..d {
            for j in 0..d {
                covariance[i * d + j] += (f64::from(row[i]) - mean[i]) * (f64::from(row[j]) - mean[j]) / n;
            }
        }
    }
    (mean, covariance)
}

#[test]
fn lambda_scales_the_covariance_of_gaussian_and_kde() {
    let data = StandardGaussian(2).draw(0..40, Stream::REAL, Seeds::new(2)).to_f32();
    let data: Vec<f32> = data.chunks(2).flat_map(|row| [3.0 * row[0] + 1.0, row[0] + 0.5 * row[1]]).collect();
    let set = mix(Shape::vector(2), data.clone());
    let (mean, covariance) = moments(&data, 2);
    let n = 40.0;
    for bias in [1.0, 0.5, 0.0] {
        let width = 0.6_f64;
        let kde = |shrinkage| KdeConfig { bandwidth: Bandwidth::Fixed(width), shrinkage, ..KdeConfig::default() };
        // The covariance of a KDE's draw: resampling has divisor n, the kernel h^2 S has n - 1.
        let resampled = 1.0 + width * width * n / (n - 1.0);
        let cases = [
            (GaussianConfig::default().trainer(), n / (n - 1.0)),
            (kde(true).trainer().unwrap(), resampled / (1.0 + width * width)),
            (kde(false).trainer().unwrap(), resampled),
        ];
        for (trainer, factor) in cases {
            let (model, _) = model(train_in(trainer.as_ref(), &set, 1));
            let draws = 40_000;
            let samples = model.sample(0..draws, lambda(bias), Seeds::new(9).at(1)).unwrap().to_f32();
            let (sample_mean, sample_covariance) = moments(&samples, 2);
            for i in 0..2 {
                let sd = (bias * factor * covariance[i * 2 + i] / draws as f64).sqrt();
                assert!((sample_mean[i] - mean[i]).abs() < 5.0 * sd + 1e-6, "mean, {} {bias}", trainer.family());
                for j in 0..2 {
                    let expected = bias * factor * covariance[i * 2 + j];
                    let scale = bias * factor * (covariance[i * 2 + i] * covariance[j * 2 + j]).sqrt();
                    let error = (sample_covariance[i * 2 + j] - expected).abs();
                    // Kurtosis is at most that of the Gaussian here: sd <= sqrt(2 / n) of the scale; 6 sd.
                    assert!(
                        error < 6.0 * scale * (2.0 / draws as f64).sqrt() + 1e-9,
                        "{} {bias}: {error}",
                        trainer.family()
                    );
                }
            }
        }
    }
}

#[test]
fn rules_of_thumb_have_their_formulas() {
    let parse = |text: &str| serde_json::from_str::<Bandwidth>(text).unwrap();
    assert!((parse("\"scott\"").width(32, 1) - 0.5).abs() < 1e-12);
    assert!((parse("\"silverman\"").width(128, 2) - 128_f64.powf(-1.0 / 6.0)).abs() < 1e-12);
    assert_eq!(parse("0.3").width(1, 1), 0.3);
    assert!(serde_json::from_str::<Bandwidth>("\"scot\"").is_err());
}

#[test]
fn a_mixture_is_recovered() {
    // Three well separated components with different covariances: parameters within 5 standard errors.
    let normals = StandardGaussian(2).draw(0..6000, Stream::REAL, Seeds::new(4)).to_f32();
    let centres = [(0.0, 0.0, 1.0, 0.2), (30.0, 0.0, 0.5, 0.5), (0.0, 30.0, 0.1, 2.0)];
    let place = |(i, row): (usize, &[f32])| {
        let (x, y, sx, sy) = centres[[0, 0, 0, 1, 1, 2][i % 6]];
        [x + sx * row[0], y + sy * row[1]]
    };
    let data: Vec<f32> = normals.chunks(2).enumerate().flat_map(place).collect();
    let config = GmmConfig { components: 3, ..GmmConfig::default() };
    let (model, why) = model(train_in(config.trainer().unwrap().as_ref(), &mix(Shape::vector(2), data), 1));
    assert_eq!(why, None);
    let n = 30_000;
    let samples = model.sample(0..n, SamplingBias::UNBIASED, Seeds::new(4).at(1)).unwrap().to_f32();
    for ((x, y, sx, sy), share) in centres.into_iter().zip([0.5, 1.0 / 3.0, 1.0 / 6.0]) {
        let near: Vec<&[f32]> = samples.chunks(2).filter(|row| (row[0] - x).hypot(row[1] - y) < 14.0).collect();
        let fitted = 6000.0 * share;
        let count_sd = (n as f64 * share * (1.0 - share)).sqrt();
        assert!((near.len() as f64 - n as f64 * share).abs() < 5.0 * count_sd, "{} of {n}", near.len());
        for (axis, sd) in [(0, f64::from(sx)), (1, f64::from(sy))] {
            let values: Vec<f64> = near.iter().map(|row| f64::from(row[axis])).collect();
            let centre = f64::from([x, y][axis]);
            let (mean, error) = mean_and_error(&values);
            assert!((mean - centre).abs() < 5.0 * error.hypot(sd / fitted.sqrt()), "mean {mean} of {centre}");
            let found = error * (values.len() as f64).sqrt();
            assert!((found / sd - 1.0).abs() < 5.0 / (2.0 * fitted).sqrt() + 5.0 / (2.0 * near.len() as f64).sqrt());
        }
    }
}

#[test]
fn bad_options_are_named() {
    let gmm = |config: GmmConfig| config.trainer().err().unwrap();
    assert!(gmm(GmmConfig { components: 0, ..GmmConfig::default() }).contains("model.components is 0"));
    assert!(gmm(GmmConfig { covariance_floor: -1.0, ..GmmConfig::default() }).contains("covariance_floor is -1"));
    let kde = KdeConfig { bandwidth: Bandwidth::Fixed(-0.5), ..KdeConfig::default() };
    assert!(kde.trainer().err().unwrap().contains("model.bandwidth is -0.5"));
}
