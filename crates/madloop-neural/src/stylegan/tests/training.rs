//! Training and sampling: the same bits however they are cut up, and samples that resemble their data.

use madloop_core::{Error, Generator, MemoryBlobs, Mix, Samples, Seeds, Shape, Trained};

use super::super::StyleGan2Config;
use super::{spots, tiny, train, trainer};
use crate::testing::{lambda, model, saved, train_in};

#[test]
fn a_resumed_training_equals_one_that_never_stopped() {
    for (ada, channels) in [(false, 1), (true, 3)] {
        let config = StyleGan2Config { checkpoint_steps: 4, ada, ada_target: -1.0, ada_kimg: 0.05, ..tiny(11) };
        let (trainer, mix) = (trainer(&config), spots(10, channels, false));
        let mut scratch = MemoryBlobs::default();
        let straight = saved(&*model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("trains")));
        // As after a kill: the last checkpoint is of step 8, or of the end.
        let killed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert!(saved(&*killed) == straight, "from the last checkpoint");
        // As after a request to stop, between the steps of regularisers and of the augmentation's strength.
        for stop in [3, 6] {
            let mut scratch = MemoryBlobs::default();
            let stopped = train_in(trainer.as_ref(), &mix, &mut scratch, Some((stop, 11)));
            assert!(matches!(stopped, Err(Error::Cancelled)));
            let resumed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
            assert!(saved(&*resumed) == straight, "from step {stop}");
            let other = StyleGan2Config { r1_every: 3, ..config.clone() };
            let refused = train_in(super::trainer(&other).as_ref(), &mix, &mut scratch, None).map(|_| ());
            let refused = refused.expect_err("another training's checkpoint").to_string();
            assert!(refused.contains("r1_every = 4") && refused.contains("r1_every = 3"), "{refused}");
        }
    }
}

#[test]
fn threads_change_nothing() {
    // Wide enough for the vector kernels and for jobs on several threads.
    let config = StyleGan2Config { fmap_max: 16, batch: 8, ada: true, ada_target: -1.0, ada_kimg: 0.05, ..tiny(6) };
    let mix = spots(24, 3, true);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let model = train(&config, &mix);
            let samples = model.sample(0..3, lambda(0.5), Seeds::new(1).at(1)).expect("samples");
            (saved(&*model), samples.as_u8().map(<[u8]>::to_vec))
        })
    };
    let one = run(1);
    assert!(one.1.is_some());
    assert!(run(3) == one, "three threads give other bits than one");
}

#[test]
fn a_row_depends_on_its_number_alone() {
    let model = train(&tiny(2), &spots(10, 1, false));
    let sample = |rows, at| model.sample(rows, lambda(0.5), Seeds::new(2).at(at)).expect("samples").to_f32();
    let whole = sample(0..150, 1);
    let parts = [0..1, 1..70, 70..128, 128..150].map(|rows| sample(rows, 1)).concat();
    assert!(parts == whole);
    assert_ne!(sample(0..4, 2), whole[..4 * 256]);
    assert_ne!(whole[..256], whole[256..512]);
    assert!(sample(5..5, 1).is_empty());
}

#[test]
fn a_saved_model_samples_the_same_bits() {
    let config = tiny(3);
    let model = train(&config, &spots(10, 3, false));
    let mut blobs = MemoryBlobs::default();
    model.save(&mut blobs).expect("in memory");
    let loaded = trainer(&config).load(&blobs).expect("whole");
    let sample = |model: &dyn Generator| model.sample(3..9, lambda(0.7), Seeds::new(2).at(1)).expect("samples");
    let (ours, theirs) = (sample(&*model), sample(&*loaded));
    // Bytes, whatever the training set had.
    assert!(ours.as_u8().is_some() && ours.labels().is_none());
    assert_eq!(ours.to_f32(), theirs.to_f32());
    assert_eq!(loaded.losses().len(), 3);
    assert!(saved(&*loaded) == saved(&*model));
    let other = StyleGan2Config { latent: 4, ..config };
    let error = trainer(&other).load(&blobs).map(|_| ()).expect_err("another latent").to_string();
    assert!(error.contains("latent = 6") && error.contains("latent = 4"), "{error}");
    assert!(trainer(&other).load(&MemoryBlobs::default()).is_err());
}

/// Variance over samples, mean over pixels.
fn spread(values: &[f32], dim: usize) -> f64 {
    let n = (values.len() / dim) as f64;
    let of_pixel = |pixel: usize| {
        let all = || values.iter().skip(pixel).step_by(dim).map(|value| f64::from(*value));
        let mean = all().sum::<f64>() / n;
        all().map(|value| (value - mean).powi(2)).sum::<f64>() / n
    };
    (0..dim).map(of_pixel).sum::<f64>() / dim as f64
}

#[test]
fn samples_resemble_their_data_and_truncation_shrinks_them() {
    let mix = spots(64, 1, true);
    let config = StyleGan2Config { fmap_max: 16, latent: 16, batch: 8, mbstd_group: 4, ..tiny(260) };
    let model = train(&config, &mix);
    let losses = model.losses();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    // At the beginning the discriminator knows nothing: 2 ln 2.
    assert!((losses[0] - 2.0 * 2.0_f64.ln()).abs() < 0.5, "{}", losses[0]);
    assert!((mean(&losses[losses.len() - 40..]) - losses[0]).abs() > 0.02, "{:?}", &losses[..10]);
    let real = mix.parts()[0].samples.to_f32();
    let sample = |psi| model.sample(0..96, lambda(psi), Seeds::new(3).at(1)).expect("samples").to_f32();
    let made = sample(1.0);
    let image = |values: &[f32]| -> Vec<f64> {
        let n = (values.len() / 256) as f64;
        (0..256).map(|pixel| values.iter().skip(pixel).step_by(256).map(|v| f64::from(*v)).sum::<f64>() / n).collect()
    };
    let (ours, theirs) = (image(&made), image(&real));
    let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let middle = theirs.iter().sum::<f64>() / 256.0;
    let all = theirs.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
    assert!(off < 0.3 * all, "the mean image is off by {off} of {all}");
    let spreads = [1.0, 0.5, 0.0].map(|psi| spread(&sample(psi), 256));
    assert!(spreads[0] > 1.3 * spreads[1] && spreads[1] >= spreads[2], "{spreads:?}");
}

#[test]
fn regularisers_and_augmentation_change_what_is_learned() {
    let mix = spots(12, 1, true);
    let plain = StyleGan2Config { r1_gamma: Some(0.0), path_length_weight: 0.0, style_mixing: 0.0, ..tiny(9) };
    let of = |config: &StyleGan2Config| saved(&*train(config, &mix));
    let without = of(&plain);
    for config in [
        StyleGan2Config { r1_gamma: Some(1.0), ..plain.clone() },
        StyleGan2Config { path_length_weight: 2.0, ..plain.clone() },
        StyleGan2Config { style_mixing: 0.9, ..plain.clone() },
        // Below almost every mean sign, so that augmentation begins after 4 steps.
        StyleGan2Config { ada: true, ada_target: -1.0, ada_kimg: 0.02, ..plain.clone() },
    ] {
        assert!(of(&config) != without, "{config:?}");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_the_cell() {
    let config = StyleGan2Config { learning_rate: 1e30, ..tiny(20) };
    match train_in(trainer(&config).as_ref(), &spots(10, 1, false), &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("loss") && why.contains("learning_rate"), "{why}"),
        _ => panic!("a loss of infinity went unnoticed"),
    }
    let shape = Shape::Image { channels: 1, height: 16, width: 16 };
    let nan = Samples::from_f32(shape, vec![f32::NAN; 256]).and_then(Mix::of).expect("a row");
    match train_in(trainer(&config).as_ref(), &nan, &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("sample 0"), "{why}"),
        _ => panic!("a training value that is not a number went unnoticed"),
    }
}
