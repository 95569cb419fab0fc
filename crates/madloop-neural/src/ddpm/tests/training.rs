//! Training and sampling: the same bits however they are cut up, and errors that say what to do.

use std::collections::BTreeMap;

use madloop_core::{Blobs, Error, Generator, MemoryBlobs, Samples, Seeds, Shape, Stream, Trained};
use safetensors::tensor::{SafeTensors, TensorView};

use super::super::Weighting;
use super::*;
use crate::random;

type Tensors = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>;

const CHECKPOINT: &str = "checkpoint.safetensors";

#[test]
fn a_resumed_training_equals_one_that_never_stopped() {
    for network in [NetworkKind::Mlp, NetworkKind::Unet] {
        let config = DdpmConfig { checkpoint_steps: 8, ..tiny(network, 30) };
        let (trainer, mix) = (trainer(&config), blobs(10, false));
        let mut scratch = MemoryBlobs::default();
        let straight = saved(&*model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("trains")));
        // As after a kill: the last checkpoint is of step 24.
        let killed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert_eq!(saved(&*killed), straight, "{network:?} from step 24");
        // As after a request to stop.
        let mut scratch = MemoryBlobs::default();
        let stopped = train_in(trainer.as_ref(), &mix, &mut scratch, Some((15, 30)));
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let resumed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert_eq!(saved(&*resumed), straight, "{network:?} from step 15");
    }
}

/// A checkpoint with changed tensors.
fn edited(scratch: &MemoryBlobs, edit: impl Fn(&mut Tensors)) -> MemoryBlobs {
    let bytes = scratch.get(CHECKPOINT).expect("in memory").expect("written");
    let (_, about) = SafeTensors::read_metadata(&bytes).expect("a whole file");
    let file = SafeTensors::deserialize(&bytes).expect("a whole file");
    let mut all: BTreeMap<_, _> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    edit(&mut all);
    let views = all.iter().map(|(name, (dtype, shape, data))| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).expect("a whole tensor"))
    });
    let bytes = safetensors::serialize(views, about.metadata().clone()).expect("serialises");
    MemoryBlobs([(CHECKPOINT.to_owned(), bytes)].into())
}

#[test]
fn a_checkpoint_is_taken_whole_or_refused() {
    let config = tiny(NetworkKind::Mlp, 6);
    let (whole, mix) = (trainer(&config), blobs(10, false));
    let mut scratch = MemoryBlobs::default();
    assert!(train_in(whole.as_ref(), &mix, &mut scratch, Some((3, 6))).is_err());
    let refused = |trainer: &dyn Trainer, mut scratch: MemoryBlobs, words: &[&str]| {
        let error = train_in(trainer, &mix, &mut scratch, None).map(|_| ()).expect_err("refused").to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let path = "adam.first/block.0.first.weight";
    refused(whole.as_ref(), edited(&scratch, |all| _ = all.remove(path)), &["block.0.first.weight is missing"]);
    let extra = |all: &mut Tensors| _ = all.insert("weights/more".into(), all["average/output.bias"].clone());
    refused(whole.as_ref(), edited(&scratch, extra), &["tensor more is not part of this network"]);
    let alien = |all: &mut Tensors| _ = all.insert("more".into(), all["average/output.bias"].clone());
    refused(whole.as_ref(), edited(&scratch, alien), &["tensor more is not part of it"]);
    let shape = |all: &mut Tensors| {
        all.get_mut("weights/output.bias").expect("known").1 = vec![4, 4];
    };
    refused(whole.as_ref(), edited(&scratch, shape), &["[4, 4] instead of [16]"]);
    for (other, words) in [
        (DdpmConfig { learning_rate: 0.5, ..config.clone() }, ["learning_rate = 0.001", "0.5"]),
        (DdpmConfig { width: 8, ..config.clone() }, ["width = 16", "8"]),
        (DdpmConfig { steps: Some(7), ..config.clone() }, ["steps = 6", "7"]),
    ] {
        refused(trainer(&other).as_ref(), scratch.clone(), &words);
    }
    let cut = scratch.get(CHECKPOINT).expect("in memory").expect("written");
    let cut = MemoryBlobs([(CHECKPOINT.to_owned(), cut[..cut.len() - 9].to_vec())].into());
    refused(whole.as_ref(), cut, &[CHECKPOINT, "scratch"]);
    // The untouched one is taken, whatever its own interval was.
    let other = DdpmConfig { checkpoint_steps: 1, sampler: super::super::Sampler::Ddim, ..config };
    assert!(train_in(trainer(&other).as_ref(), &mix, &mut scratch, None).is_ok());
}

#[test]
fn threads_change_nothing() {
    // Large enough that the library's products and convolutions are shared among threads.
    let config = DdpmConfig {
        base_channels: 32,
        batch: 8,
        sampler: super::super::Sampler::DpmSolver,
        sampler_steps: Some(2),
        ..tiny(NetworkKind::Unet, 2)
    };
    let shape = Shape::Image { channels: 1, height: 28, width: 28 };
    let pixels = (0..16 * 784_usize).map(|at| (at * at % 251) as u8).collect();
    let set = Samples::from_u8(shape, pixels).and_then(|set| set.with_labels((0..16).map(|row| row % 3).collect()));
    let mix = Mix::of(set.expect("whole rows")).expect("one part");
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
    for (network, sampler) in
        [(NetworkKind::Mlp, super::super::Sampler::Ancestral), (NetworkKind::Unet, super::super::Sampler::DpmSolver)]
    {
        let config = DdpmConfig { sampler, ..tiny(network, 3) };
        let model = train(&config, &blobs(10, false));
        let sample = |rows, at| model.sample(rows, lambda(0.5), Seeds::new(2).at(at)).expect("samples");
        let whole = sample(0..300, 1);
        let mut parts = Vec::new();
        for rows in [0..1, 1..70, 70..256, 256..300] {
            let part = sample(rows.clone(), 1);
            assert_eq!(part.labels(), Some(&whole.labels().expect("labelled")[rows.start as usize..rows.end as usize]));
            parts.extend(part.to_f32());
        }
        assert_eq!(parts, whole.to_f32(), "{network:?}");
        assert_ne!(sample(0..4, 2).to_f32(), whole.to_f32()[..64]);
        assert!(sample(5..5, 1).is_empty());
    }
}

#[test]
fn a_saved_model_samples_the_same_bits() {
    for (network, bytes) in [(NetworkKind::Mlp, false), (NetworkKind::Unet, true)] {
        let config = tiny(network, 4);
        let model = train(&config, &blobs(10, bytes));
        let mut blobs = MemoryBlobs::default();
        model.save(&mut blobs).expect("in memory");
        let loaded = trainer(&config).load(&blobs).expect("whole");
        let sample = |model: &dyn Generator| model.sample(3..9, lambda(1.0), Seeds::new(2).at(1)).expect("samples");
        let (ours, theirs) = (sample(&*model), sample(&*loaded));
        assert_eq!(ours.as_u8().is_some(), bytes);
        assert_eq!((ours.to_f32(), ours.labels()), (theirs.to_f32(), theirs.labels()));
        assert_eq!(loaded.sampler(), Some(("ancestral".into(), 20)));
        let other = DdpmConfig { schedule: super::super::NoiseSchedule::Cosine, ..config };
        let error = trainer(&other).load(&blobs).map(|_| ()).expect_err("another schedule").to_string();
        assert!(error.contains("schedule = \"linear\"") && error.contains("\"cosine\""), "{error}");
        assert!(trainer(&other).load(&MemoryBlobs::default()).is_err());
    }
}

#[test]
fn guidance_is_refused_where_it_means_nothing() {
    let labelled = blobs(10, false);
    let config = tiny(NetworkKind::Mlp, 2);
    let conditional = train(&config, &labelled);
    let unconditional = train(&config, &without_labels(&labelled));
    let refused = |model: &dyn Generator, value: f64| {
        model.sample(0..2, lambda(value), Seeds::new(2)).map(|_| ()).expect_err("refused").to_string()
    };
    assert!(refused(&*conditional, 0.0).contains("(1 - lambda) / lambda"));
    assert!(refused(&*unconditional, 0.8).contains("trained without labels"));
    let free = unconditional.sample(0..2, lambda(1.0), Seeds::new(2)).expect("samples");
    assert!(free.labels().is_none());
}

#[test]
fn a_loss_that_is_no_number_ends_the_cell() {
    let mix = blobs(10, false);
    let config = DdpmConfig { learning_rate: 1e30, ..tiny(NetworkKind::Mlp, 20) };
    match train_in(trainer(&config).as_ref(), &mix, &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("learning_rate"), "{why}"),
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
    let default = DdpmConfig::default;
    for (config, words) in [
        (DdpmConfig { base_channels: 12, ..default() }, "model.base_channels is 12: it must be a multiple of 8"),
        (DdpmConfig { multipliers: vec![], ..default() }, "model.multipliers is []"),
        (DdpmConfig { timesteps: 5, ..default() }, "model.timesteps is 5"),
        (DdpmConfig { batch: 0, ..default() }, "model.batch is 0"),
        (DdpmConfig { learning_rate: f64::NAN, ..default() }, "model.learning_rate is NaN"),
        (DdpmConfig { ema: 1.0, ..default() }, "model.ema is 1"),
        (DdpmConfig { condition_dropout: -0.1, ..default() }, "model.condition_dropout is -0.1"),
        (DdpmConfig { sampler_steps: Some(50), ..default() }, "model.sampler_steps is 50: the ancestral sampler takes"),
    ] {
        let error = config.check().expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let config = tiny(NetworkKind::Unet, 1);
    let odd = Shape::Image { channels: 1, height: 6, width: 7 };
    for (shape, words) in [(odd, "6 x 7 can be halved 0 times"), (Shape::vector(3), "needs images")] {
        let mix = Samples::from_f32(shape, vec![0.0; shape.len()]).and_then(Mix::of).expect("a row");
        let error = train_in(trainer(&config).as_ref(), &mix, &mut MemoryBlobs::default(), None);
        let error = error.map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains(words) && error.contains("mlp"), "{error}");
    }
}

#[test]
fn settings_are_read_strictly() {
    let read = |value| serde_json::from_value::<DdpmConfig>(value);
    assert_eq!(read(serde_json::json!({})).expect("all have defaults"), DdpmConfig::default());
    let some = serde_json::json!({ "network": "mlp", "sampler": "dpm-solver", "steps": 5, "decay": "constant" });
    let some = read(some).expect("known keys");
    assert_eq!((some.network, some.sampler_steps(), some.train_steps(1)), (NetworkKind::Mlp, 50, 5));
    assert_eq!(DdpmConfig::default().train_steps(60_000), 4688);
    assert!(read(serde_json::json!({ "chanels": 5 })).unwrap_err().to_string().contains("chanels"));
    let written = serde_json::to_value(DdpmConfig::default()).expect("plain data");
    assert!(written.as_object().expect("an object").values().all(|value| !value.is_null()), "TOML has no null");
}

#[test]
fn the_price_grows_with_training() {
    let trainer = trainer(&DdpmConfig::default());
    let shape = Shape::Image { channels: 1, height: 28, width: 28 };
    let (small, large) = (trainer.cost(1000, shape), trainer.cost(60_000, shape));
    assert!(small.train > 0.0 && large.train > 30.0 * small.train && large.sample_row == small.sample_row);
}

#[test]
fn each_weighting_counts_what_it_says() {
    // Before its first step the network is 0 and eps is sigma x, so that the error of v is |alpha e - sigma x_0|^2 / d, of mean 1 for standardised
    // data, and that of eps is alpha^2 times it. Of 4096 rows of 8 values the means have standard deviations of about 0.008; 0.05 is 6 of them.
    let (n, dim) = (4096, 8);
    let mut values = vec![0.0; n * dim];
    random::fill_normal(&mut Seeds::new(1).rng(Stream::named("test/normal"), 0), &mut values);
    let mix = Mix::of(Samples::from_f32(Shape::vector(dim), values).expect("whole rows")).expect("one part");
    let loss = |weighting| {
        let config = DdpmConfig { weighting, batch: n, ..tiny(NetworkKind::Mlp, 1) };
        train(&config, &mix).losses()[0]
    };
    let schedule = tiny(NetworkKind::Mlp, 1).schedule();
    let mean = |of: fn(f64) -> f64| (0..20).map(|t| of(schedule.alpha(f64::from(t)).powi(2))).sum::<f64>() / 20.0;
    // The last levels are so close to noise that the weight has its limit.
    for (weighting, expected) in
        [(Weighting::Noise, mean(|v| v)), (Weighting::Velocity, mean(|v| (1000.0 * v).min(1.0)))]
    {
        let found = loss(weighting);
        assert!((found - expected).abs() < 0.05, "{weighting:?}: {found}, not {expected}");
    }
}
