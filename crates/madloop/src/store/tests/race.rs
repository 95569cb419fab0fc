//! Workers that share a cell where there are no locks.

use madloop_core::{Commit, Entry, State};

use super::*;

/// Counts what a journal won and lost, and dawdles so that workers overtake each other.
struct Counting<'a> {
    inner: CellStore<'a>,
    won: Vec<u32>,
    lost: Vec<u32>,
    dawdle: u64,
}

impl Journal for Counting<'_> {
    fn resume(&mut self, plan: &Loop, trainer: &dyn Trainer) -> Result<Option<State>> {
        self.inner.resume(plan, trainer)
    }

    fn commit(&mut self, entry: Entry) -> Result<Commit> {
        let generation = entry.record.generation;
        let pause = (u64::from(generation) * 7 + self.dawdle) * self.dawdle % 5;
        std::thread::sleep(std::time::Duration::from_micros(400 * pause));
        let commit = self.inner.commit(entry)?;
        if commit == Commit::Won {
            self.won.push(generation)
        } else {
            self.lost.push(generation)
        }
        Ok(commit)
    }

    fn flush(&mut self) -> Result<Commit> {
        self.inner.flush()
    }

    fn scratch(&mut self, generation: u32) -> Result<Box<dyn Blobs>> {
        self.inner.scratch(generation)
    }
}

/// Runs a worker for each of `commit_seconds` in one folder; returns what each won and lost.
fn race(setting: &Setting, folder: &Path, commit_seconds: &[f64], round: u64) -> Vec<(Vec<u32>, Vec<u32>)> {
    let start = std::sync::Barrier::new(commit_seconds.len());
    std::thread::scope(|scope| {
        let worker = |(number, &seconds): (usize, &f64)| {
            let start = &start;
            scope.spawn(move || {
                let told = Told::default();
                let on_commit = |record: &Record, _: &Timing| told.add(record);
                let inner = setting.open_without_lock(folder, seconds, &on_commit);
                let dawdle = 1 + number as u64 + round;
                let mut journal = Counting { inner, won: Vec::new(), lost: Vec::new(), dawdle };
                start.wait();
                let end = setting.run(&mut journal).unwrap();
                assert_eq!(end == CellEnd::Ended, setting.dies_at > 0);
                told.check(folder);
                (journal.won, journal.lost)
            })
        };
        let workers: Vec<_> = commit_seconds.iter().enumerate().map(worker).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

#[test]
fn every_generation_is_won_once() {
    let mut lost_in_all = 0;
    for (number, setting) in settings().into_iter().enumerate() {
        let expected = undisturbed(&setting);
        for round in 0..6 {
            let folder = tempfile::tempdir().unwrap();
            let outcomes = race(&setting, folder.path(), &[0.0, 0.0], round);
            assert_same(&expected, folder.path(), &format!("setting {number}, round {round}"));
            let mut won: Vec<u32> = outcomes.iter().flat_map(|(won, _)| won).copied().collect();
            won.sort_unstable();
            let last = if setting.dies_at > 0 { setting.dies_at } else { setting.generations };
            assert_eq!(won, (0..=last).collect::<Vec<_>>(), "setting {number}, round {round}");
            lost_in_all += outcomes.iter().map(|(_, lost)| lost.len()).sum::<usize>();
        }
    }
    assert!(lost_in_all > 20, "only {lost_in_all} commits were lost: the workers did not meet");
}

#[test]
fn groups_of_any_size_may_meet() {
    for (number, setting) in settings().into_iter().enumerate() {
        let expected = undisturbed(&setting);
        for (round, seconds) in [[0.0, 0.001, 0.004], [0.003, 0.002, 1000.0], [1000.0, 1000.0, 0.0]].iter().enumerate()
        {
            let folder = tempfile::tempdir().unwrap();
            race(&setting, folder.path(), seconds, round as u64);
            assert_same(&expected, folder.path(), &format!("setting {number}, groups {seconds:?}"));
        }
    }
}

#[test]
fn a_file_is_whole_though_others_clean_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.jsonl");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..300 {
                crate::store::files::remove_leftovers(folder.path()).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    crate::store::write_atomically(&path, &[b'x'; 5000]).unwrap();
                    assert_eq!(fs::read(&path).unwrap(), [b'x'; 5000]);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
