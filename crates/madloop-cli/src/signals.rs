//! SIGINT and SIGTERM ask for a stop after the last whole generation; a second one stops at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use madloop_core::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

use crate::exit;

pub(crate) struct Signals {
    stop: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    pub(crate) fn register() -> io::Result<Self> {
        let (stop, terminated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        for (signal, code) in [(SIGINT, exit::INTERRUPTED), (SIGTERM, exit::TERMINATED)] {
            // In this order: the first signal finds the flag down and raises it, the second one finds it raised.
            register_conditional_shutdown(signal, i32::from(code), stop.clone())?;
            if signal == SIGTERM {
                register(signal, terminated.clone())?;
            }
            register(signal, stop.clone())?;
        }
        Ok(Self { stop, terminated })
    }

    pub(crate) fn cancel(&self) -> Cancel {
        Cancel::new(self.stop.clone())
    }

    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::SeqCst)
    }
}
