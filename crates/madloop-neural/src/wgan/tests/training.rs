//! Training and sampling: the same bits however they are cut up, beginnings, and errors that say what to do.

use madloop_core::{Cancel, Context, Error, Generator, MemoryBlobs, Mix, Samples, Seeds, Shape, Trained, Trainer};

use super::super::{Beginning, GanNetwork, WganConfig};
use super::{tiny, train, trainer};
use crate::testing::{blobs, lambda, model, saved, train_in};

const BOTH: [GanNetwork; 2] = [GanNetwork::Mlp, GanNetwork::Dcgan];

/// 8x8 images, which both networks take.
fn images(rows: usize, bytes: bool) -> Mix {
    let shape = Shape::Image { channels: 1, height: 8, width: 8 };
    let pixels: Vec<f32> = (0..rows * 64).map(|at| 0.5 + 0.5 * (at as f32 * 0.37).sin()).collect();
    let set = match bytes {
        false => Samples::from_f32(shape, pixels),
        true => Samples::from_u8(shape, pixels.iter().map(|v| (v * 255.0) as u8).collect()),
    };
    Mix::of(set.expect("whole rows")).expect("one part")
}

#[test]
fn a_resumed_training_equals_one_that_never_stopped() {
    for (network, ema) in [(GanNetwork::Mlp, 0.0), (GanNetwork::Dcgan, 0.9)] {
        let config = WganConfig { checkpoint_steps: 4, ema, ..tiny(network, 11) };
        let (trainer, mix) = (trainer(&config), images(10, false));
        let mut scratch = MemoryBlobs::default();
        let straight = saved(&*model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("trains")));
        // As after a kill: the last checkpoint is of step 8.
        let killed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert_eq!(saved(&*killed), straight, "{network:?} from step 8");
        // As after a request to stop.
        let mut scratch = MemoryBlobs::default();
        let stopped = train_in(trainer.as_ref(), &mix, &mut scratch, Some((3, 11)));
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let resumed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert_eq!(saved(&*resumed), straight, "{network:?} from step 3");
        let other = WganConfig { n_critic: 3, ..config };
        let refused = train_in(super::trainer(&other).as_ref(), &mix, &mut scratch, None).map(|_| ());
        let refused = refused.expect_err("another training's checkpoint").to_string();
        assert!(refused.contains("n_critic = 2") && refused.contains("n_critic = 3"), "{refused}");
    }
}

#[test]
fn threads_change_nothing() {
    let shape = Shape::Image { channels: 1, height: 28, width: 28 };
    let pixels = (0..64 * 784_usize).map(|at| (at * at % 251) as u8).collect();
    let mix = Mix::of(Samples::from_u8(shape, pixels).expect("whole rows")).expect("one part");
    for network in BOTH {
        let config = WganConfig { batch: 48, width: 200, ..tiny(network, 2) };
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
        assert!(run(3) == one, "{network:?}: three threads give other bits than one");
    }
}

#[test]
fn a_row_depends_on_its_number_alone() {
    for network in BOTH {
        let model = train(&tiny(network, 2), &images(10, false));
        let sample = |rows, at| model.sample(rows, lambda(0.5), Seeds::new(2).at(at)).expect("samples").to_f32();
        let whole = sample(0..300, 1);
        let parts = [0..1, 1..70, 70..256, 256..300].map(|rows| sample(rows, 1)).concat();
        assert_eq!(parts, whole, "{network:?}");
        assert_ne!(sample(0..4, 2), whole[..256]);
        assert!(sample(5..5, 1).is_empty());
    }
}

#[test]
fn a_saved_model_samples_the_same_bits() {
    for (network, bytes) in [(GanNetwork::Mlp, false), (GanNetwork::Dcgan, true)] {
        let config = tiny(network, 2);
        let model = train(&config, &images(10, bytes));
        let mut blobs = MemoryBlobs::default();
        model.save(&mut blobs).expect("in memory");
        let loaded = trainer(&config).load(&blobs).expect("whole");
        let sample = |model: &dyn Generator| model.sample(3..9, lambda(1.0), Seeds::new(2).at(1)).expect("samples");
        let (ours, theirs) = (sample(&*model), sample(&*loaded));
        assert_eq!(ours.as_u8().is_some(), bytes);
        assert_eq!(ours.to_f32(), theirs.to_f32());
        assert!(ours.to_f32().iter().all(|pixel| (0.0..=1.0).contains(pixel)), "pixels end in their range");
        assert_eq!((loaded.losses().len(), saved(&*loaded)), (2, saved(&*model)));
        let other = WganConfig { latent: 4, ..config };
        let error = trainer(&other).load(&blobs).map(|_| ()).expect_err("another latent").to_string();
        assert!(error.contains("latent = 3") && error.contains("latent = 4"), "{error}");
        assert!(trainer(&other).load(&MemoryBlobs::default()).is_err());
    }
}

#[test]
fn lambda_scales_the_latents_covariance() {
    let set = Samples::from_f32(Shape::vector(2), (0..40).map(|at| (at as f32).sin()).collect()).expect("whole rows");
    let model = train(&tiny(GanNetwork::Mlp, 3), &Mix::of(set).expect("one part"));
    let sample = |value| model.sample(0..200, lambda(value), Seeds::new(2).at(1)).expect("samples").to_f32();
    let spread = |values: &[f32]| {
        let mean = values.iter().step_by(2).sum::<f32>() / 200.0;
        values.iter().step_by(2).map(|v| (v - mean).powi(2)).sum::<f32>() / 200.0
    };
    let all = [1.0, 0.5, 0.1].map(|value| spread(&sample(value)));
    assert!(all[0] > all[1] && all[1] > all[2] && all[2] > 0.0, "{all:?}");
    // Without spread in the latent there is one sample.
    let none = sample(0.0);
    assert!(none.chunks_exact(2).all(|row| row == &none[..2]));
}

#[test]
fn labels_are_not_looked_at() {
    let labelled = blobs(12, false);
    let plain = crate::testing::without_labels(&labelled);
    let config = tiny(GanNetwork::Mlp, 2);
    let model = train(&config, &labelled);
    assert_eq!(saved(&*model), saved(&*train(&config, &plain)));
    assert!(model.sample(0..3, lambda(1.0), Seeds::new(2)).expect("samples").labels().is_none());
}

/// Trains generation 2 with a model of generation 1 at hand.
fn second(trainer: &dyn Trainer, mix: &Mix, previous: &dyn Generator, scratch: &mut MemoryBlobs) -> Trained {
    let mut context = Context {
        seeds: Seeds::new(7).at(2),
        classes: None,
        previous: Some(previous),
        scratch,
        cancel: &Cancel::default(),
        progress: &|_| {},
    };
    trainer.train(mix, &mut context).expect("trains")
}

#[test]
fn a_generation_begins_where_it_is_told_to() {
    let mix = images(10, false);
    // At such a rate the weights stay where they began.
    let still = |init| WganConfig { init, learning_rate: 1e-30, ..tiny(GanNetwork::Mlp, 4) };
    let (previous, scratch) = (trainer(&still(Beginning::Previous)), trainer(&still(Beginning::Scratch)));
    assert!(previous.begins_at_previous() && !scratch.begins_at_previous());
    let first = train(&still(Beginning::Previous), &mix);
    let sample =
        |model: &dyn Generator| model.sample(0..5, lambda(1.0), Seeds::new(2).at(1)).expect("samples").to_f32();
    let mut blobs = MemoryBlobs::default();
    let next = model(second(previous.as_ref(), &mix, &*first, &mut blobs));
    assert_eq!(sample(&*next), sample(&*first));
    let fresh = model(second(scratch.as_ref(), &mix, &*first, &mut MemoryBlobs::default()));
    assert_ne!(sample(&*fresh), sample(&*first));
    // Read back from disk it is the same beginning, for the critic too, whose losses tell.
    first.save(&mut blobs).expect("in memory");
    let read = previous.load(&blobs).expect("whole");
    let again = model(second(previous.as_ref(), &mix, &*read, &mut MemoryBlobs::default()));
    assert_eq!(saved(&*again), saved(&*next));
    assert_ne!(next.losses(), fresh.losses());
    // Another shape cannot go on.
    let wide = Samples::from_f32(Shape::vector(3), vec![0.5; 9]).and_then(Mix::of).expect("rows");
    let mut context = Context {
        seeds: Seeds::new(7).at(2),
        classes: None,
        previous: Some(&*first),
        scratch: &mut MemoryBlobs::default(),
        cancel: &Cancel::default(),
        progress: &|_| {},
    };
    let error = previous.train(&wide, &mut context).map(|_| ()).expect_err("another shape").to_string();
    assert!(error.contains("model.init") && error.contains("scratch"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_ends_the_cell() {
    let config = WganConfig { learning_rate: 1e30, ..tiny(GanNetwork::Mlp, 20) };
    match train_in(trainer(&config).as_ref(), &images(10, false), &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("critic's loss") && why.contains("learning_rate"), "{why}"),
        _ => panic!("a loss of infinity went unnoticed"),
    }
    let nan = Samples::from_f32(Shape::vector(2), vec![0.0, f32::NAN]).and_then(Mix::of).expect("a row");
    match train_in(trainer(&config).as_ref(), &nan, &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("sample 0") && why.contains("column 1"), "{why}"),
        _ => panic!("a training value that is not a number went unnoticed"),
    }
}

#[test]
fn bad_settings_name_their_key() {
    let default = WganConfig::default;
    for (config, words) in [
        (WganConfig { base_channels: 12, ..default() }, "model.base_channels is 12: it must be a multiple of 8"),
        (WganConfig { network: GanNetwork::Mlp, depth: 0, ..default() }, "model.depth is 0"),
        (WganConfig { latent: 0, ..default() }, "model.latent is 0"),
        (WganConfig { n_critic: 0, ..default() }, "model.n_critic is 0"),
        (WganConfig { gradient_penalty: -1.0, ..default() }, "model.gradient_penalty is -1"),
        (WganConfig { learning_rate: f64::NAN, ..default() }, "model.learning_rate is NaN"),
        (WganConfig { betas: [0.0, 1.0], ..default() }, "model.betas is 1"),
        (WganConfig { ema: 1.0, ..default() }, "model.ema is 1"),
    ] {
        let error = config.check().expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let config = tiny(GanNetwork::Dcgan, 1);
    let odd = Shape::Image { channels: 1, height: 9, width: 10 };
    for (shape, words) in [(odd, "9 x 10 is no such size"), (Shape::vector(3), "needs images")] {
        let mix = Samples::from_f32(shape, vec![0.0; shape.len()]).and_then(Mix::of).expect("a row");
        let error = train_in(trainer(&config).as_ref(), &mix, &mut MemoryBlobs::default(), None);
        let error = error.map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains(words) && error.contains("mlp"), "{error}");
    }
}

#[test]
fn settings_are_read_strictly() {
    let read = |value| serde_json::from_value::<WganConfig>(value);
    assert_eq!(read(serde_json::json!({})).expect("all have defaults"), WganConfig::default());
    let some = read(serde_json::json!({ "network": "mlp", "init": "previous", "steps": 5 })).expect("known keys");
    assert_eq!((some.init, some.train_steps(1)), (Beginning::Previous, 5));
    assert_eq!(WganConfig { epochs: 1, ..WganConfig::default() }.train_steps(60_000), 188);
    assert!(read(serde_json::json!({ "critics": 5 })).unwrap_err().to_string().contains("critics"));
    let written = serde_json::to_value(WganConfig::default()).expect("plain data");
    assert!(written.as_object().expect("an object").values().all(|value| !value.is_null()), "TOML has no null");
    let shape = Shape::Image { channels: 1, height: 28, width: 28 };
    let cost = |rows| trainer(&WganConfig::default()).cost(rows, shape);
    assert!(cost(1000).train > 0.0 && cost(60_000).train > 30.0 * cost(1000).train);
}
