//! libFuzzer's door to `check`: the first byte of an input chooses the kind of file.
#![no_main]

#[path = "../check.rs"]
mod check;

use std::cell::RefCell;

thread_local! {
    static FOLDER: RefCell<check::Folder> = RefCell::new(check::Folder::new());
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    FOLDER.with_borrow_mut(|folder| folder.check(data));
});
