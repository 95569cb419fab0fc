//! Where neural families run. A build without them has the CPU alone.

#[cfg(feature = "neural")]
pub use madloop_neural::Device;

#[cfg(not(feature = "neural"))]
pub use without::Device;

#[cfg(not(feature = "neural"))]
mod without {
    /// The CPU.
    #[derive(Debug, Clone)]
    pub struct Device;

    impl Device {
        /// The CPU.
        pub fn cpu() -> Self {
            Self
        }

        /// Its name.
        pub fn name(&self) -> &str {
            "cpu"
        }

        /// Whether this is the CPU.
        pub fn is_cpu(&self) -> bool {
            true
        }
    }

    impl std::str::FromStr for Device {
        type Err = crate::Error;

        fn from_str(name: &str) -> Result<Self, Self::Err> {
            let why = || format!("{name} needs a build with neural families; this one was made without them");
            if name == "cpu" { Ok(Self) } else { Err(crate::Error::config("--device", why())) }
        }
    }
}
