//! What each generation trains on.

use std::sync::Arc;

use madloop_core::*;
use proptest::prelude::*;

use crate::mocks::*;
use crate::stages::Lab;

fn trained(lab: &mut Lab) -> Vec<String> {
    lab.run().unwrap();
    let calls = lab.calls("train").into_iter();
    calls.map(|call| call.split_once(": ").unwrap().1.to_owned()).collect()
}

#[test]
fn the_three_loops_train_on_what_they_say() {
    let fresh = "fresh -1..=-5";
    let cases = [
        (LoopKind::FullySynthetic, [fresh, "made by 1 1000..=1002", "made by 2 2000..=2002"]),
        (
            LoopKind::SyntheticAugmentation,
            [fresh, "fixed -1..=-2, made by 1 1000..=1002", "fixed -1..=-2, made by 2 2000..=2002"],
        ),
        (LoopKind::FreshData, [fresh, "fresh -6..=-7, made by 1 1000..=1002", "fresh -8..=-9, made by 2 2000..=2002"]),
    ];
    for (kind, expected) in cases {
        assert_eq!(trained(&mut Lab::new(kind)), expected);
    }
}

#[test]
fn a_history_draws_new_rows_of_each_model() {
    for (history, oldest) in [(History::Last(2), 2), (History::All, 1)] {
        let mut lab = Lab::new(LoopKind::FullySynthetic);
        lab.cell.plan.history = history;
        lab.cell.plan.synthetic_count = SyntheticCount::PerModel;
        lab.cell.generations = 4;
        // Rows of model g for generation t begin at 3 (t - 1 - g).
        let of = |model: u32| {
            let start = 3 * (3 - model);
            format!("made by {model} {}..={}", 1000 * model + start, 1000 * model + start + 2)
        };
        let expected: Vec<String> = (oldest..=3).map(of).collect();
        assert_eq!(trained(&mut lab)[3], expected.join(", "));
    }
}

#[test]
fn accumulation_trains_on_every_draw_again() {
    let mut lab = Lab::new(LoopKind::SyntheticAugmentation);
    lab.cell.plan.pool = Pool::Accumulate;
    let expected = "fixed -1..=-2, made by 1 1000..=1002, made by 2 2000..=2002";
    assert_eq!(trained(&mut lab)[2], expected);
}

fn loops() -> impl Strategy<Value = Loop> {
    let kinds =
        prop_oneof![Just(LoopKind::FullySynthetic), Just(LoopKind::SyntheticAugmentation), Just(LoopKind::FreshData)];
    let histories = prop_oneof![(1_u32..5).prop_map(History::Last), Just(History::All)];
    (kinds, 1_u64..20, 0_u64..20, 1_u64..20, histories, any::<bool>(), any::<bool>()).prop_map(
        |(kind, n_initial, n_real, n_synthetic, history, accumulate, per_model)| Loop {
            kind,
            n_initial,
            n_real: if kind == LoopKind::SyntheticAugmentation { n_real.min(n_initial) } else { n_real },
            n_synthetic,
            lambda: SamplingBias::UNBIASED,
            history: if accumulate { History::Last(1) } else { history },
            pool: if accumulate { Pool::Accumulate } else { Pool::Redraw },
            synthetic_count: if per_model { SyntheticCount::PerModel } else { SyntheticCount::Total },
            on_exhausted: OnExhausted::Error,
        },
    )
}

/// Synthetic rows that generation `t` trains on.
fn synthetic(plan: &Loop, t: u32) -> u64 {
    let models = match plan.history {
        _ if t == 1 => 0,
        _ if plan.pool == Pool::Accumulate => return plan.n_synthetic * u64::from(t - 1),
        History::Last(k) => k.min(t - 1),
        History::All => t - 1,
    };
    if plan.synthetic_count == SyntheticCount::PerModel || models == 0 {
        plan.n_synthetic * u64::from(models)
    } else {
        plan.n_synthetic
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn mixes_have_the_planned_sizes_and_origins(plan in loops(), generations in 1_u32..7, seed: u64) {
        let mut lab = Lab::new(plan.kind);
        lab.cell.plan = plan.clone();
        lab.cell.generations = generations;
        lab.cell.seed = seed;
        lab.run().unwrap();
        for record in &lab.journal.inner.records[1..] {
            let t = record.generation;
            let (real, fresh) = match (plan.kind, t) {
                (_, 1) => (plan.n_initial, plan.n_initial),
                (LoopKind::FullySynthetic, _) => (0, 0),
                (LoopKind::SyntheticAugmentation, _) => (plan.n_real, 0),
                (LoopKind::FreshData, _) => (plan.n_real, plan.n_real),
            };
            prop_assert_eq!((record.n_real, record.n_fresh, record.n_synthetic), (real, fresh, synthetic(&plan, t)));
        }
        // The state holds what the next generation may need, and no more models than that.
        let state = lab.journal.inner.state.as_ref().unwrap();
        let models: Vec<u32> = state.models.keys().copied().collect();
        prop_assert_eq!(models, plan.needed_models(generations).collect::<Vec<_>>());
    }

    #[test]
    fn a_state_that_forgot_its_draws_mixes_the_same(plan in loops(), t in 2_u32..7, seed: u64, known in 0_u64..30) {
        let log = Log::default();
        let trainer = MockTrainer { log: log.clone(), fates: Vec::new(), cancel: Cancel::default() };
        let (mut resumed, mut remembering) = (State::default(), State::default());
        let seeds = Seeds::new(seed);
        for g in 1..t {
            let mut blobs = MemoryBlobs::default();
            blobs.put("generation", &g.to_le_bytes()).unwrap();
            let model = trainer.load(&blobs).unwrap();
            let draw = model.sample(0..known.max(plan.n_synthetic), plan.lambda, seeds.at(g)).unwrap();
            remembering.advance(&plan, g, model.clone(), Some(draw));
            resumed.models.insert(g, model);
        }
        let real = RealPool::new(Real::Infinite(Arc::new(Positions)), seeds, OnExhausted::Error);
        let describe_all = |state: &State| -> Vec<String> {
            plan.mix(t, &real, state, seeds).unwrap().parts().iter().map(describe).collect()
        };
        prop_assert_eq!(describe_all(&remembering), describe_all(&resumed));
        // Any batch of rows is those rows of the whole.
        let whole = resumed.samples(&Draw { model: t - 1, rows: 0..40 }, plan.lambda, seeds).unwrap();
        for start in [0, 1, known, known + 1] {
            let rows = start..start + 5;
            let part = remembering.samples(&Draw { model: t - 1, rows: rows.clone() }, plan.lambda, seeds).unwrap();
            prop_assert_eq!(part.to_f32(), whole.slice(rows.start as usize..rows.end as usize).to_f32());
        }
    }
}
