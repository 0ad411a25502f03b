//! Three kinds of time that must never be mixed, each an argument of whoever needs it.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use minicbor::{Decode, Encode};

macro_rules! microseconds {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub u64);

        impl $name {
            pub const ZERO: Self = Self(0);

            pub const fn from_millis(millis: u64) -> Self {
                Self(millis * 1000)
            }

            pub const fn as_micros(self) -> u64 {
                self.0
            }

            pub const fn as_millis(self) -> u64 {
                self.0 / 1000
            }

            /// The time from `earlier` to `self`; zero when `earlier` is later.
            pub const fn since(self, earlier: Self) -> Duration {
                Duration::from_micros(self.0.saturating_sub(earlier.0))
            }
        }

        impl Add<Duration> for $name {
            type Output = Self;
            fn add(self, duration: Duration) -> Self {
                Self(self.0.saturating_add(duration.as_micros() as u64))
            }
        }

        impl AddAssign<Duration> for $name {
            fn add_assign(&mut self, duration: Duration) {
                *self = *self + duration;
            }
        }

        impl Sub<Duration> for $name {
            type Output = Self;
            fn sub(self, duration: Duration) -> Self {
                Self(self.0.saturating_sub(duration.as_micros() as u64))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
            }
        }
    };
}

microseconds! {
    /// Microseconds in the pair's common time. It never runs backwards across a takeover; every deadline that is
    /// replicated is in it.
    ClusterTime
}

microseconds! {
    /// Microseconds of this machine's monotonic clock. Failure detection uses it; it never leaves the node.
    LocalTime
}

microseconds! {
    /// Microseconds since the Unix epoch, by this machine's wall clock. Stored for people; compared only to tell
    /// how long a machine was off.
    WallTime
}
