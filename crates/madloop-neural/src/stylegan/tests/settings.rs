//! Options: what is refused, and in which words.

use madloop_core::{MemoryBlobs, Mix, Samples, Shape};

use super::super::StyleGan2Config;
use super::{tiny, trainer};
use crate::testing::train_in;

#[test]
fn bad_settings_name_their_key() {
    let default = StyleGan2Config::default;
    for (config, words) in [
        (StyleGan2Config { fmaps: 0.0, ..default() }, "model.fmaps is 0: it must be a number above 0"),
        (StyleGan2Config { fmap_max: 0, ..default() }, "model.fmap_max is 0"),
        (StyleGan2Config { latent: 0, ..default() }, "model.latent is 0"),
        (StyleGan2Config { mapping_layers: 0, ..default() }, "model.mapping_layers is 0"),
        (StyleGan2Config { style_mixing: 1.5, ..default() }, "model.style_mixing is 1.5"),
        (StyleGan2Config { r1_gamma: Some(-1.0), ..default() }, "model.r1_gamma is -1"),
        (StyleGan2Config { r1_every: 0, ..default() }, "model.r1_every is 0"),
        (StyleGan2Config { path_length_weight: f64::NAN, ..default() }, "model.path_length_weight is NaN"),
        (StyleGan2Config { learning_rate: 0.0, ..default() }, "model.learning_rate is 0"),
        (StyleGan2Config { betas: [0.0, 1.0], ..default() }, "model.betas is 1"),
        (StyleGan2Config { ema_kimg: -1.0, ..default() }, "model.ema_kimg is -1"),
        (StyleGan2Config { ada_target: 2.0, ..default() }, "model.ada_target is 2"),
        (StyleGan2Config { ada_kimg: 0.0, ..default() }, "model.ada_kimg is 0"),
        (
            StyleGan2Config { batch: 10, ..default() },
            "model.batch is 10: it must be a multiple of model.mbstd_group, which is 4; try 12",
        ),
    ] {
        let error = config.check().expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn images_that_do_not_fit_are_refused_with_a_remedy() {
    let image = |channels, height, width| Shape::Image { channels, height, width };
    for (shape, words) in [
        (Shape::vector(3), "needs images"),
        (image(1, 16, 32), "data.resize = 32"),
        (image(3, 28, 28), "data.resize = 32"),
        (image(3, 512, 512), "data.resize = 256"),
        (image(1, 8, 8), "data.resize = 16"),
        (image(2, 16, 16), "data.color"),
    ] {
        let refused = trainer(&tiny(1)).check(shape, false, &[]).expect_err("does not fit").to_string();
        assert!(refused.contains(words) && refused.contains(&shape.to_string()), "{refused}");
        let mix = Samples::from_f32(shape, vec![0.0; shape.len()]).and_then(Mix::of).expect("a row");
        let error = train_in(trainer(&tiny(1)).as_ref(), &mix, &mut MemoryBlobs::default(), None);
        assert_eq!(error.map(|_| ()).expect_err("refused").to_string(), refused);
    }
    for side in [16, 32, 64, 128, 256] {
        trainer(&tiny(1)).check(image(3, side, side), true, &[]).expect("fits");
    }
}

#[test]
fn settings_are_read_strictly() {
    let read = |value| serde_json::from_value::<StyleGan2Config>(value);
    assert_eq!(read(serde_json::json!({})).expect("all have defaults"), StyleGan2Config::default());
    let some = read(serde_json::json!({ "fmaps": 0.25, "r1_gamma": 0.5, "steps": 5 })).expect("known keys");
    assert_eq!((some.r1_gamma, some.train_steps(1)), (Some(0.5), 5));
    assert_eq!(StyleGan2Config { epochs: 1, ..StyleGan2Config::default() }.train_steps(60_000), 1875);
    assert!(read(serde_json::json!({ "fmap": 5 })).unwrap_err().to_string().contains("fmap"));
    let written = serde_json::to_value(StyleGan2Config::default()).expect("plain data");
    assert!(written.as_object().expect("an object").values().all(|value| !value.is_null()), "TOML has no null");
}

#[test]
fn costs_grow_with_work() {
    let image = |side| Shape::Image { channels: 3, height: side, width: side };
    let cost = |rows, side| trainer(&StyleGan2Config::default()).cost(rows, image(side));
    assert!(cost(1000, 64).train > 0.0 && cost(60_000, 64).train > 30.0 * cost(1000, 64).train);
    assert!(cost(1000, 128).step_bytes > 2.0 * cost(1000, 64).step_bytes);
    assert_eq!(cost(1000, 64).batch, 32);
}

#[test]
fn lazy_updates_leave_adam_as_fast_as_it_was() {
    let config = StyleGan2Config::default();
    assert_eq!(config.adam(None).rate, 0.0025);
    let lazy = config.adam(Some(16));
    assert!((lazy.rate - 0.0025 * 16.0 / 17.0).abs() < 1e-12);
    assert!((f64::from(lazy.betas[1]) - 0.99_f64.powf(16.0 / 17.0)).abs() < 1e-7 && lazy.betas[0] == 0.0);
    assert!((config.gamma(64) - 0.0002 * 4096.0 / 32.0).abs() < 1e-12);
}
