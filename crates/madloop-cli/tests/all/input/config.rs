//! Experiments, overrides and arguments that cannot be meant.

use super::{Bench, GAUSSIAN};

/// Each `--set` (or several, separated by `;`) must be refused with these words.
fn sets(cases: &[(&str, &[&str])]) {
    let bench = Bench::with_experiment();
    for (settings, parts) in cases {
        let mut args = vec!["small.toml"];
        settings.split(';').for_each(|setting| args.extend(["--set", setting]));
        bench.refuses_run(&args, parts);
    }
}

#[test]
fn misspelt_names_suggest_the_nearest() {
    sets(&[
        ("loop.lamda=0.8", &["--set loop.lamda=0.8", "unknown key loop.lamda", "did you mean \"lambda\"?"]),
        ("lop.lambda=1", &["unknown key lop", "did you mean \"loop\"?"]),
        ("loop.kind=fuly-synthetic", &["loop.kind", "\"fuly-synthetic\"", "did you mean \"fully-synthetic\"?"]),
        ("model.family=gausian", &["model.family", "\"gausian\"", "did you mean \"gaussian\"?"]),
        ("data.source=digit8", &["data.source", "\"digit8\"", "did you mean \"digits8\"?"]),
        ("score.reference=tset", &["score.reference", "did you mean \"test\"?"]),
        ("score.metrics=[\"frechet\"]", &["\"frechet\"", "did you mean \"frechet_distance\"?", "kid"]),
        ("loop.history=al", &["loop.history is \"al\"", "did you mean \"all\"?", "whole number"]),
        ("model.components=3", &["unknown key model.components", "option of family = \"gmm\""]),
        ("model.family=gmm;model.bandwidth=0.1", &["model.bandwidth", "option of family = \"kde\""]),
        ("sweep.loop.lamda=[1.0, 0.5]", &["loop.lamda = 1.0", "did you mean \"lambda\"?"]),
        ("sweep.lop.lambda=[1.0, 0.5]", &["lop.lambda cannot be swept", "did you mean \"loop\"?"]),
    ]);
    let bench = Bench::with_experiment();
    bench.refuses_run(&["quikstart"], &["quikstart", "did you mean \"quickstart\"?", "madloop list"]);
    bench.refuses_run(&["nothing-like-it"], &["nothing-like-it", "no preset", "madloop list"]);
    bench.refuses_run(&["missing.toml"], &["missing.toml", "No such file", "madloop list"]);
    bench.refuses_run(&["."], &["no preset"]);
}

#[test]
fn misspelt_names_in_files_are_told_with_their_table() {
    let bench = Bench::new();
    let cases: &[(&str, &[&str])] = &[
        ("[score2]\nk = 3", &["unknown key score2", "did you mean \"score\"?"]),
        ("[sweep]\n\"loop.lamda\" = [1.0]", &["loop.lamda", "did you mean \"lambda\"?"]),
        ("[[sweep.case]]\n\"loop.lamda\" = 1.0", &["loop.lamda", "did you mean \"lambda\"?"]),
        ("[sweep]\ncase = [1]", &["case is 1", "[[sweep.case]]"]),
        ("[scale.smok]\nseed = 1", &["[scale.smok]", "did you mean \"smoke\"?"]),
        ("[scale]\nlaptop = 5", &["scale.laptop is 5", "table"]),
        ("[scale.laptop]\n\"loop.n_initail\" = 5", &["[scale.laptop]", "did you mean \"n_initial\"?"]),
        // Scales that are not run are checked too.
        ("[scale.paper]\n\"loop.n_initail\" = 5", &["[scale.paper]", "did you mean \"n_initial\"?"]),
        ("[scale.paper.loop]\nkind = \"fresh\"", &["[scale.paper]", "did you mean \"fresh-data\"?"]),
    ];
    for (text, parts) in cases {
        bench.write("bad.toml", format!("{GAUSSIAN}\n{text}\n"));
        bench.refuses_run(&["bad.toml"], &[&["bad.toml"], *parts].concat());
    }
}

#[test]
fn files_that_are_no_experiment_are_named_with_the_line() {
    let bench = Bench::new();
    let cases: &[(&[u8], &[&str])] = &[
        (b"", &["name is missing"]),
        (b"name = \"a\"\ngenerations = 2\n[loop\nx = 1", &["line 3", "expected `]`"]),
        (b"name = \"a\"\nname = \"b\"", &["line 2", "duplicate key"]),
        (b"name = ", &["line 1", "quoted"]),
        (b"\xff\xfe\x00", &["UTF-8"]),
        (&[b' '; 2_000_000], &["2000000 bytes", "1048576"]),
    ];
    for (text, parts) in cases {
        bench.write("bad.toml", text);
        bench.refuses_run(&["bad.toml"], &[&["bad.toml"], *parts].concat());
    }
    std::fs::create_dir(bench.path("folder.toml")).unwrap();
    bench.refuses_run(&["folder.toml"], &["folder.toml", "directory"]);
    bench.write("bad.toml", GAUSSIAN.replace("kind = \"fully-synthetic\"\n", ""));
    bench.refuses_run(&["bad.toml"], &["bad.toml", "loop.kind is missing"]);
    bench.write("bad.toml", GAUSSIAN.replace("n_initial = 30\n", ""));
    bench.refuses_run(&["bad.toml"], &["loop.n_initial", "missing", "how many real samples"]);
}

#[test]
fn values_of_another_type_are_told_in_plain_words() {
    let count = "whole number from 0";
    sets(&[
        ("loop.n_initial=abc", &["--set loop.n_initial=abc", "loop.n_initial is \"abc\"", count]),
        ("loop.n_initial=1.5", &["loop.n_initial is 1.5", count]),
        ("loop.n_initial=true", &["loop.n_initial is true", count]),
        ("loop.n_initial=[1]", &["loop.n_initial is [1]", count]),
        ("loop.n_initial=99999999999999999999", &["99999999999999999999", count, "9223372036854775807"]),
        ("generations=abc", &["generations is \"abc\"", count]),
        ("loop.lambda=high", &["loop.lambda is \"high\"", "a number"]),
        ("score.lambda=high", &["score.lambda is \"high\"", "a number"]),
        ("sweep.loop.lambda=[1.0, \"high\"]", &["loop.lambda is \"high\"", "a number"]),
        ("model.per_class=maybe", &["model.per_class is \"maybe\"", "true or false"]),
        ("score.metrics=kid", &["score.metrics is \"kid\"", "a list"]),
        ("score.at=[-1]", &["score.at is [-1]", "a list", count]),
        ("store.keep=0", &["store.keep is 0", "\"all\", \"last\" or a whole number from 1"]),
        ("loop.history=-1", &["loop.history is -1", "\"all\"", count]),
        ("data=5", &["data is 5", "a table"]),
        ("loop.kind.x=3", &["kind is \"fully-synthetic\"", "no key x"]),
        ("noequals", &["--set noequals", "KEY=VALUE"]),
        ("=3", &["--set =3", "KEY=VALUE"]),
        ("a b=3", &["--set a b=3", "\"a b\" is no key", "KEY=VALUE"]),
        ("scale=smoke", &["--scale smoke|laptop|paper"]),
        ("scale.smoke.generations=3", &["--scale smoke|laptop|paper"]),
    ]);
}

#[test]
fn counts_out_of_range_name_the_key_and_the_range() {
    for key in [
        "loop.n_initial",
        "loop.n_real",
        "loop.n_synthetic",
        "loop.n",
        "score.n",
        "score.k",
        "score.every",
        "data.dim",
        "generations",
        "seed",
    ] {
        sets(&[(&format!("{key}=-1"), &[&format!("{key} is -1"), "whole number from 0"])]);
    }
    sets(&[
        ("loop.n_initial=0", &["loop.n_initial is 0", "at least 1"]),
        ("loop.n_synthetic=0", &["loop.n_synthetic is 0", "at least 1"]),
        ("score.n=0", &["score.n", "0 samples", "at least 2"]),
        ("score.k=0", &["score.k", "0 neighbours", "at least 1"]),
        ("score.k=9223372036854775807", &["score.k", "9223372036854775807"]),
        ("score.every=0", &["score.every", "0 is no step", "1"]),
        ("generations=0", &["generations", "at least 1"]),
        ("generations=4294967295", &["generations", "4294967295", "1000000"]),
        ("data.dim=0", &["data.dim is 0", "1 to 1000000"]),
        ("loop.history=0", &["loop.history is 0", "1, K or \"all\""]),
        ("loop.history=3;loop.pool=accumulate", &["loop.history is 3", "accumulate", "redraw"]),
        ("store.commit_seconds=-1", &["store.commit_seconds", "-1", "0 to 3600"]),
        ("loop.lambda=1.5", &["loop.lambda", "1.5", "from 0", "to 1"]),
        ("loop.lambda=-0.1", &["loop.lambda", "-0.1", "from 0"]),
        ("loop.lambda=nan", &["loop.lambda", "NaN", "from 0"]),
        ("score.lambda=1.5", &["score.lambda", "1.5", "from 0"]),
        ("sweep.loop.lambda=[1.0, 1.5]", &["loop.lambda = 1.5", "lambda is 1.5", "to 1"]),
        ("name=a/b", &["name", "a/b", "letters"]),
        // More than any machine holds.
        ("loop.n_initial=100000000000000", &["loop.n_initial", "100000000000000 samples", "memory", "lower"]),
        ("loop.n_synthetic=9223372036854775807", &["loop.n_synthetic", "memory"]),
        ("score.n=9223372036854775807", &["score.n", "memory"]),
    ]);
    let bench = Bench::new();
    bench.write("share.toml", GAUSSIAN.replace("n_initial = 30\nn_synthetic = 30", "n = 30"));
    let share = |setting, parts| bench.refuses_run(&["share.toml", "--set", setting], parts);
    share("loop.real_fraction=1.5", &["loop.real_fraction", "1.5", "from 0 to 1"]);
    share("seed=1", &["loop.n", "real_fraction"]);
    bench.refuses_run(
        &["share.toml", "--set", "loop.real_fraction=0.5", "--set", "loop.n_real=3"],
        &["loop.real_fraction", "n_real", "either"],
    );
}

#[test]
fn sweeps_must_name_distinct_cells() {
    let twice = "is asked for twice";
    sets(&[
        ("sweep.loop.lambda=[0.5, 0.5]", &["loop.lambda = 0.5", twice, "remove"]),
        ("sweep.loop.lambda=[1, 1.0]", &["loop.lambda = 1", twice, "remove"]),
        ("sweep.seeds=[1, 1]", &["seed = 1", twice]),
        ("sweep.loop.lambda=0.5", &["loop.lambda is 0.5", "a list such as"]),
        ("sweep.loop.lambda=[]", &["loop.lambda is []", "a list such as"]),
        ("sweep.seeds=0", &["seeds is 0", "at least 1"]),
        ("sweep.seeds=[]", &["seeds is []", "at least 1"]),
        ("sweep.seeds=-1", &["seeds is -1", "at least 1"]),
        ("sweep.seeds=1000000000", &["1000000000 cells", "100000"]),
        ("sweep.seed=[1, 2]", &["seed", "seeds = 3"]),
        ("sweep.name=[\"a\", \"b\"]", &["name cannot be swept", "[loop]"]),
        ("sweep.generations=[1, 2]", &["generations cannot be swept", "[loop]"]),
        ("sweep.seeds=3;seed=9223372036854775807", &["seed 9223372036854775807", "do not fit"]),
    ]);
    let bench = Bench::new();
    bench.write(
        "bad.toml",
        format!("{GAUSSIAN}\n[sweep.loop]\nlambda = [1.0, 0.5]\n[[sweep.case]]\n\"loop.lambda\" = 1.0"),
    );
    bench.refuses_run(&["bad.toml"], &["loop.lambda", "both a list", "[[sweep.case]]"]);
}

#[test]
fn more_real_data_than_there_is_is_told_with_what_suffices() {
    let bench = Bench::new();
    let quick = |settings: &[&str], parts: &[&str]| {
        let mut args = vec!["quickstart", "--scale", "smoke", "--set", "loop.kind=fresh-data"];
        settings.iter().for_each(|setting| args.extend(["--set", setting]));
        bench.refuses_run(&args, parts);
    };
    quick(&["loop.n_initial=2000"], &["loop.n_initial = 2000", "1297", "lower"]);
    quick(&["loop.n_real=1298"], &["loop.n_real = 1298", "1297", "lower"]);
    quick(&["score.n=501"], &["score.n", "501", "500", "reference"]);
    quick(&["score.features=none"], &["score.features", "images", "pixels"]);
    quick(&["data.dim=3"], &["data.dim", "\"digits8\"", "no options"]);
    quick(&["generations=30"], &["suffices for 10 generations, not 30", "1297", "on_exhausted = \"reuse\""]);
    quick(
        &["loop.kind=synthetic-augmentation", "loop.n_real=130"],
        &["loop.n_real is 130", "120", "raise loop.n_initial"],
    );
    let args = ["--scale", "smoke", "--set", "loop.kind=fresh-data", "--set", "loop.n_real=600", "--json"];
    let reuse = ["--set", "loop.on_exhausted=reuse", "--out", "out"];
    let stdout = bench.succeeds(&[&["run", "quickstart"], &args[..], &reuse].concat()).stdout;
    assert!(stdout.lines().next_back().unwrap().contains("\"reused\":true"), "{stdout}");
    let bench = Bench::with_experiment();
    bench.refuses_run(&["small.toml", "--set", "model.per_class=true"], &["per_class", "no class labels"]);
    bench.refuses_run(&["small.toml", "--set", "score.features=pixels"], &["score.features", "vectors", "none"]);
}

#[test]
fn usage_errors_exit_with_1() {
    let bench = Bench::with_experiment();
    bench.refuses_run(&["small.toml", "--scale", "smoke"], &["small.toml", "no scale smoke", "laptop"]);
    bench.refuses_run(&["small.toml", "--scale", "huge"], &["huge", "smoke, laptop, paper"]);
    bench.refuses_run(&["small.toml", "--device", "cuda"], &["--device cuda", "cpu"]);
    bench.refuses_run(&["small.toml", "--jobs", "0"], &["--jobs", "at least 1"]);
    bench.refuses_run(&["small.toml", "--jobs", "-1"], &["-1"]);
    bench.refuses_run(&["small.toml", "--threads", "100000"], &["--threads", "1024"]);
    bench.refuses_run(&["small.toml", "--seed", "18446744073709551615"], &["--seed", "18446744073709551615"]);
    bench.refuses_run(&["small.toml", "--generations", "0"], &["generations", "at least 1"]);
    bench.refuses_run(&["small.toml", "--bogus"], &["--bogus", "--help"]);
    bench.refuses(&["runn"], &["runn", "'run'"]);
    bench.refuses(&["run"], &["EXPERIMENT", "--help"]);
    bench.refuses(&["show", "quikstart"], &["did you mean \"quickstart\"?"]);
    bench.refuses(&["list", "extra"], &["extra"]);
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["help", "score"]] {
        assert!(!bench.succeeds(args).stdout.is_empty());
    }
    bench.succeeds(&["run", "small.toml", "--seed", "9223372036854775807", "--out", "out"]);
    bench.succeeds(&["run", "small.toml", "--set", "score.n=1", "--out", "one"]);
}
