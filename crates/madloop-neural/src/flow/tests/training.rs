//! Training and sampling: the same bits however they are cut up, and errors that say what to do.

use madloop_core::{Error, Trained};

use super::*;

#[test]
fn a_resumed_training_equals_one_that_never_stopped() {
    let config = FlowConfig { checkpoint_steps: 8, ema: 0.9, ..tiny(30) };
    for (mix, which) in [(cloud(100, 3), "vectors"), (blobs(100, true), "images")] {
        let trainer = trainer(&config);
        let mut scratch = MemoryBlobs::default();
        let straight = saved(&*model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("trains")));
        // As after a kill: the last checkpoint is of step 24.
        let killed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert_eq!(saved(&*killed), straight, "{which} from step 24");
        // As after a request to stop.
        let mut scratch = MemoryBlobs::default();
        assert!(matches!(train_in(trainer.as_ref(), &mix, &mut scratch, Some((13, 30))), Err(Error::Cancelled)));
        let resumed = model(train_in(trainer.as_ref(), &mix, &mut scratch, None).expect("goes on"));
        assert_eq!(saved(&*resumed), straight, "{which} from step 13");
    }
}

#[test]
fn threads_change_nothing() {
    let config = FlowConfig { hidden: 64, batch: 256, ..tiny(3) };
    let run = |threads: usize, mix: &Mix| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            let model = train(&config, mix);
            let samples = model.sample(0..300, lambda(0.5), Seeds::new(1).at(1)).expect("samples");
            let likelihood = model.log_likelihood(&samples, Seeds::new(1)).expect("finite");
            (saved(&*model), samples.to_f32(), likelihood)
        })
    };
    for mix in [cloud(500, 2), blobs(500, false)] {
        assert!(run(1, &mix) == run(3, &mix), "three threads give other bits than one");
    }
}

#[test]
fn a_row_depends_on_its_number_alone() {
    for mix in [cloud(50, 2), blobs(50, true)] {
        let model = train(&tiny(3), &mix);
        let sample = |rows| model.sample(rows, lambda(0.5), Seeds::new(2).at(1)).expect("samples");
        let whole = sample(0..300);
        let mut parts = Vec::new();
        for rows in [0..1, 1..70, 70..256, 256..300] {
            let part = sample(rows.clone());
            let labels = |set: &Samples| set.labels().map(<[u32]>::to_vec);
            assert_eq!(labels(&part), labels(&whole.slice(rows.start as usize..rows.end as usize)));
            parts.extend(part.to_f32());
        }
        assert_eq!(parts, whole.to_f32());
        assert!(sample(5..5).is_empty());
    }
}

#[test]
fn a_saved_model_samples_the_same_bits() {
    for (mix, bytes) in [(cloud(50, 3), false), (blobs(50, true), true)] {
        let config = tiny(4);
        let model = train(&config, &mix);
        let mut file = MemoryBlobs::default();
        model.save(&mut file).expect("in memory");
        let loaded = trainer(&config).load(&file).expect("whole");
        let sample = |model: &dyn Generator| model.sample(3..9, lambda(1.0), Seeds::new(2).at(1)).expect("samples");
        let (ours, theirs) = (sample(&*model), sample(&*loaded));
        assert_eq!(ours.as_u8().is_some(), bytes);
        assert_eq!((ours.to_f32(), ours.labels()), (theirs.to_f32(), theirs.labels()));
        let likelihood = |model: &dyn Generator| model.log_likelihood(&ours, Seeds::new(2)).expect("finite");
        assert_eq!(likelihood(&*model), likelihood(&*loaded));
        assert_eq!(loaded.losses(), model.losses());
        let other = FlowConfig { hidden: 8, ..config };
        let error = trainer(&other).load(&file).map(|_| ()).expect_err("another network").to_string();
        assert!(error.contains("hidden = 16") && error.contains("hidden = 8"), "{error}");
        assert!(trainer(&other).load(&MemoryBlobs::default()).is_err());
    }
}

#[test]
fn the_first_batch_is_normalised_by_the_beginning() {
    // One step with a rate of almost 0: z has mean 0 and variance 1 over the first batch, which is the whole set.
    let config = FlowConfig { learning_rate: 1e-12, batch: 512, ..tiny(1) };
    let mix = cloud(512, 2);
    let model = train(&config, &mix);
    let (loss, d) = (model.losses()[0], 2.0);
    let found = model.log_likelihood(&mix.parts()[0].samples, Seeds::new(1)).expect("finite").expect("a density");
    let mean = found.iter().sum::<f64>() / found.len() as f64;
    assert!((loss + mean / d).abs() < 1e-4, "{loss} and {mean}");
    // Then -ln p is that of the best Gaussian, (ln det S + d (1 + ln 2 pi)) / 2 with S the covariance of the set, which is here nearly diagonal;
    // the triangular maps begin as permutations, so it is that of its diagonal.
    let values = mix.parts()[0].samples.to_f32();
    let log_variance = |column: usize| {
        let column: Vec<f64> = values.iter().skip(column).step_by(2).map(|&v| f64::from(v)).collect();
        let middle = column.iter().sum::<f64>() / column.len() as f64;
        (column.iter().map(|v| (v - middle).powi(2)).sum::<f64>() / column.len() as f64).ln()
    };
    let expected = 0.5 * (log_variance(0) + log_variance(1) + d * (1.0 + std::f64::consts::TAU.ln()));
    assert!((mean + expected).abs() < 1e-4, "{mean} for {expected}");
}

#[test]
fn collapse_is_an_outcome() {
    let line = Samples::from_f32(Shape::vector(2), (0..200).flat_map(|i| [i as f32, 4.0]).collect()).expect("rows");
    match train_in(trainer(&tiny(40)).as_ref(), &Mix::of(line).expect("a part"), &mut MemoryBlobs::default(), None) {
        Ok(Trained::Degenerate(model, why)) => {
            assert!(why.contains("1 of 2 dimensions") && why.contains("dimension 1 is always 4"), "{why}");
            assert!(model.sample(0..50, lambda(1.0), Seeds::new(1)).is_ok());
        }
        _ => panic!("a dimension without variance went unnoticed"),
    }
    let nan = Samples::from_f32(Shape::vector(2), vec![0.0, f32::NAN]).and_then(Mix::of).expect("a row");
    match train_in(trainer(&tiny(4)).as_ref(), &nan, &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("sample 0") && why.contains("column 1"), "{why}"),
        _ => panic!("a training value that is not a number went unnoticed"),
    }
    let config = FlowConfig { learning_rate: 1e30, ..tiny(40) };
    match train_in(trainer(&config).as_ref(), &cloud(50, 2), &mut MemoryBlobs::default(), None) {
        Ok(Trained::Ended(why)) => assert!(why.contains("learning_rate"), "{why}"),
        _ => panic!("a loss of infinity went unnoticed"),
    }
}

#[test]
fn bad_settings_name_their_key() {
    let default = FlowConfig::default;
    for (config, words) in [
        (FlowConfig { couplings: 0, ..default() }, "model.couplings is 0: it must be a whole number from 1"),
        (FlowConfig { hidden: 0, ..default() }, "model.hidden is 0"),
        (FlowConfig { levels: 0, ..default() }, "model.levels is 0"),
        (FlowConfig { grey_levels: 1, ..default() }, "model.grey_levels is 1"),
        (FlowConfig { batch: 0, ..default() }, "model.batch is 0"),
        (FlowConfig { learning_rate: f64::NAN, ..default() }, "model.learning_rate is NaN"),
        (FlowConfig { clip: 0.0, ..default() }, "model.clip is 0"),
        (FlowConfig { ema: 1.0, ..default() }, "model.ema is 1"),
    ] {
        let error = config.check().expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    let image = |height, width| Shape::Image { channels: 1, height, width };
    for (shape, levels, words) in [
        (Shape::vector(1), 1, ["vector of 1", "2 or more", "kde"]),
        (image(7, 8), 1, ["7 x 8 cannot be squeezed", "even", "data.resize = 8"]),
        (image(28, 28), 3, ["28 x 28 can be squeezed 2 times", "model.levels is 3", "lower it to 2"]),
    ] {
        let config = FlowConfig { levels, ..tiny(1) };
        let mix = Samples::from_f32(shape, vec![0.0; shape.len()]).and_then(Mix::of).expect("a row");
        let error = train_in(trainer(&config).as_ref(), &mix, &mut MemoryBlobs::default(), None);
        let error = error.map(|_| ()).expect_err("refused").to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn settings_are_read_strictly() {
    let read = |value| serde_json::from_value::<FlowConfig>(value);
    assert_eq!(read(serde_json::json!({})).expect("all have defaults"), FlowConfig::default());
    assert_eq!(FlowConfig::default().train_steps(10_000), 782);
    assert!(read(serde_json::json!({ "coupling": 5 })).unwrap_err().to_string().contains("coupling"));
    let written = serde_json::to_value(FlowConfig::default()).expect("plain data");
    assert!(written.as_object().expect("an object").values().all(|value| !value.is_null()), "TOML has no null");
}
