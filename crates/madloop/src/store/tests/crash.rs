//! A worker that dies at the worst moment.

use super::*;

#[test]
fn groups_end_as_single_commits_do() {
    for (number, setting) in settings().into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let end = setting.finish(folder.path(), 1000.0);
        assert_eq!(end == CellEnd::Ended, setting.dies_at > 0);
        assert_same(&undisturbed(&setting), folder.path(), &format!("setting {number}"));
    }
}

#[test]
fn a_crash_between_the_renames_of_a_group_loses_the_group_and_no_more() {
    for (number, setting) in settings().into_iter().enumerate() {
        let expected = undisturbed(&setting);
        for crash_after in 0..6 {
            for locks in [true, false] {
                let what = format!("setting {number}, crash after {crash_after} renames, locks: {locks}");
                let folder = tempfile::tempdir().unwrap();
                Setting { generations: 4, ..setting }.finish(folder.path(), 1000.0);
                let mut store = setting.open(folder.path(), 1000.0, &|_, _| {}, &Silent);
                store.crash_after = Some(crash_after);
                // The first commit of a process is a group of its own.
                let whole = if crash_after == 0 { 4 } else { 5 };
                match setting.run(&mut store) {
                    Err(error) => assert!(error.to_string().contains("a crash"), "{error}"),
                    // The ended cell has a generation less.
                    Ok(_) => assert!(setting.dies_at > 0 && crash_after == 5, "{what}"),
                }
                drop(store);
                let seen = crate::store::generation::generations(folder.path()).unwrap();
                if setting.dies_at == 0 || crash_after < 5 {
                    assert_eq!(seen.last(), Some(&whole), "{what}");
                }
                if locks {
                    setting.finish(folder.path(), 1000.0);
                } else {
                    let told = Told::default();
                    let on_commit = |record: &Record, _: &Timing| told.add(record);
                    let mut store = setting.open_without_lock(folder.path(), 0.0, &on_commit);
                    setting.run(&mut store).unwrap();
                    told.check(folder.path());
                    // Without locks nobody knows that a folder is a leftover.
                    crate::store::files::remove_leftovers(folder.path()).unwrap();
                }
                assert_same(&expected, folder.path(), &what);
            }
        }
    }
}

#[test]
fn what_is_lost_is_made_again() {
    for (number, setting) in settings().into_iter().enumerate().filter(|(_, setting)| setting.dies_at == 0) {
        let expected = undisturbed(&setting);
        for lost in ["gen-0003", "gen-0000", "gen-0010", "gen-0010/model", "gen-0009/model", "gen-0010/samples.npy"] {
            let folder = tempfile::tempdir().unwrap();
            setting.finish(folder.path(), 0.0);
            let path = folder.path().join(lost);
            let was_there = path.exists();
            crate::store::files::remove(&path).unwrap();
            // A run to more generations needs what a finished one does not.
            let warned = Warned::default();
            setting.run(&mut setting.open(folder.path(), 0.0, &|_, _| {}, &warned)).unwrap();
            let what = format!("setting {number} without {lost}");
            let needed = match lost {
                "gen-0010/model" => true,
                "gen-0010/samples.npy" => setting.pool == Pool::Accumulate,
                "gen-0009/model" => setting.history != History::Last(1),
                _ => false,
            };
            if needed {
                assert!(warned.0.lock().unwrap()[0].contains("going back"), "{what}");
            }
            if was_there && (needed || !lost.contains('/')) {
                assert_same(&expected, folder.path(), &what);
            }
        }
    }
}

#[test]
fn a_damaged_model_is_named() {
    let setting = settings()[0];
    let folder = tempfile::tempdir().unwrap();
    setting.finish(folder.path(), 0.0);
    let expected = files(folder.path());
    let model = folder.path().join("gen-0010/model/model.safetensors");
    fs::write(&model, "no model").unwrap();
    let error = setting.run(&mut setting.open(folder.path(), 0.0, &|_, _| {}, &Silent)).unwrap_err().to_string();
    assert!(error.contains("gen-0010") && error.contains("delete the folder of its cell and run again"), "{error}");
    // The advice helps.
    fs::remove_dir_all(folder.path().join("gen-0010")).unwrap();
    setting.finish(folder.path(), 0.0);
    assert_same(&expected, folder.path(), "after following the advice");
}

#[test]
fn pruning_goes_on_where_it_stopped() {
    let setting = settings()[0];
    let folder = tempfile::tempdir().unwrap();
    setting.finish(folder.path(), 0.0);
    let expected = files(folder.path());
    fs::write(folder.path().join("gen-0007/labels.npy"), "left").unwrap();
    fs::write(folder.path().join("gen-0006/samples.npy"), "left").unwrap();
    setting.finish(folder.path(), 0.0);
    assert_same(&expected, folder.path(), "with leftovers of pruning");
}

#[test]
fn the_systems_own_error_is_told_when_a_rename_fails() {
    let setting = settings()[0];
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gen-0002"), "a file where a folder belongs").unwrap();
    let error = setting.run(&mut setting.open_without_lock(folder.path(), 1000.0, &|_, _| {})).unwrap_err();
    assert!(error.to_string().contains("Not a directory"), "{error}");
}

#[test]
fn checkpoints_belong_to_one_generation() {
    let setting = Setting { generations: 2, ..settings()[0] };
    let folder = tempfile::tempdir().unwrap();
    setting.finish(folder.path(), 0.0);
    let mut store = setting.open(folder.path(), 0.0, &|_, _| {}, &Silent);
    store.scratch(3).unwrap().put("step", b"7").unwrap();
    assert_eq!(store.scratch(4).unwrap().get("step").unwrap(), None);
    drop(store);
    // The process dies in generation 3; the next one finds the checkpoint, and nothing is left of it at the end.
    let mut store = setting.open(folder.path(), 0.0, &|_, _| {}, &Silent);
    setting.run(&mut store).unwrap();
    assert_eq!(store.scratch(3).unwrap().get("step").unwrap().unwrap(), b"7");
    drop(store);
    let scratch = folder.path().join("scratch/0003");
    assert!(scratch.exists());
    fs::create_dir_all(folder.path().join("scratch/0001")).unwrap();
    Setting { generations: 3, ..setting }.finish(folder.path(), 0.0);
    assert!(!folder.path().join("scratch").exists());
    // It died after the commit of generation 3 and before it removed the checkpoint.
    fs::create_dir_all(&scratch).unwrap();
    Setting { generations: 3, ..setting }.finish(folder.path(), 0.0);
    assert!(!scratch.exists());
}

#[test]
fn a_run_that_died_at_its_start_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".experiment.toml.1.0.tmp"), "name").unwrap();
    let overrides = crate::config::Overrides::default();
    let swept = crate::config::load("quickstart", &overrides).unwrap();
    let create = || super::super::RunDir::create(folder.path(), &swept, &serde_json::Value::Null);
    create().unwrap();
    assert!(!folder.path().join(".experiment.toml.1.0.tmp").exists());
    create().unwrap();
    fs::remove_file(folder.path().join("experiment.toml")).unwrap();
    assert!(create().unwrap_err().to_string().contains("not empty and holds no run"));
}
