//! PyTorch's files, whole, damaged and hostile.

use super::machine::MOST_STEPS;
use super::*;

/// By `tests/golden/make_pth.py`.
const ZIP: &[u8] = include_bytes!("../../../tests/golden/zip.pth");
const LEGACY: &[u8] = include_bytes!("../../../tests/golden/legacy.pth");
const CALL: &[u8] = include_bytes!("../../../tests/golden/call.pth");

#[test]
fn both_containers_give_the_tensors() {
    for bytes in [ZIP, LEGACY] {
        assert!(is_pytorch(bytes));
        let all = read(bytes).expect("tensors");
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(names, ["a.part", "a.turned", "a.weight", "b.bias", "b.num_batches_tracked", "scalar"]);
        let tensor = |name: &str| match &all[name].values {
            Values::F32(values) => (all[name].shape.clone(), values.clone()),
            Values::Other(kind) => panic!("{name} is {kind}"),
        };
        assert_eq!(tensor("a.weight"), (vec![3, 4], (0..12).map(|v| v as f32).collect()));
        assert_eq!(tensor("a.part"), (vec![4], vec![4.0, 5.0, 6.0, 7.0]));
        let turned = (0..12).map(|at| (at % 3 * 4 + at / 3) as f32).collect();
        assert_eq!(tensor("a.turned"), (vec![4, 3], turned));
        assert_eq!(tensor("b.bias"), (vec![2], vec![0.5, -1.25]));
        assert_eq!(tensor("scalar"), (vec![], vec![2.5]));
        assert!(matches!(all["b.num_batches_tracked"].values, Values::Other("integers")));
    }
}

#[test]
fn nothing_is_called() {
    let error = read(CALL).expect_err("a call");
    assert!(error.contains("posix.system") && error.contains("state_dict"), "{error}");
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    for end in 0..LEGACY.len() {
        assert!(!is_pytorch(&LEGACY[..end]) || read(&LEGACY[..end]).is_err(), "{end} bytes");
    }
    for whole in [ZIP, LEGACY] {
        for at in 0..whole.len() {
            for flip in [1, 0x80, 0xff] {
                let mut bytes = whole.to_vec();
                bytes[at] ^= flip;
                if is_pytorch(&bytes) {
                    let _ = read(&bytes);
                }
            }
        }
    }
}

#[test]
fn a_pickle_cannot_eat_memory_or_the_stack() {
    let run = |program: Vec<u8>| Machine::new(&program).run().expect_err("refused");
    assert!(run([b"N".to_vec(), vec![0x85; 100_000]].concat()).contains("nested"));
    assert!(run(vec![b'N'; MOST_STEPS + 1]).contains("steps"));
    assert!(run(b"X\xff\xff\xff\xff".to_vec()).contains("too early"));
    assert!(run(b"(t".to_vec()).contains("too early"));
    assert!(run(b"t".to_vec()).contains("mark"));
    assert!(run(b"}q\x00h\x00N.".to_vec()[..0].to_vec()).contains("too early"));
}
