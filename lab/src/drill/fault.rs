//! The faults that the drill commits, each with its promise and its story.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The active node's process is killed.
    Kill,
    /// The active node's process hangs.
    Freeze,
    /// The active node's cable is pulled.
    Cut,
    /// The operator moves the service to the other node.
    Switchover,
    /// One node is killed, comes back, and then the other one is killed.
    Double,
    /// A node without a peer is killed and starts again.
    RestartAlone,
    /// No fault: every core and the disk are flooded, and nothing may happen.
    Flood,
    /// One after another, but for the flood.
    All,
}

impl Fault {
    pub(super) fn list(self) -> Vec<Self> {
        match self {
            Self::All => {
                vec![Self::Kill, Self::Freeze, Self::Cut, Self::Switchover, Self::Double, Self::RestartAlone]
            }
            one => vec![one],
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Cut => "cut",
            Self::Switchover => "switchover",
            Self::Double => "double",
            Self::RestartAlone => "restart-alone",
            Self::Flood => "flood",
            Self::All => "all",
        }
    }

    /// The longest silence that is promised, in milliseconds, the 20 ms between two packets included.
    pub(super) const fn promise_ms(self) -> f64 {
        match self {
            // Sixty milliseconds are what concealment hides.
            Self::Kill | Self::Double | Self::Flood => 60.0,
            Self::Freeze | Self::Cut | Self::All => 200.0,
            Self::Switchover => 40.0,
            Self::RestartAlone => 300.0,
        }
    }

    /// The node that serves before it serves after it.
    pub(super) const fn stays(self) -> bool {
        matches!(self, Self::RestartAlone | Self::Flood)
    }

    /// How long the phones are listened to after the fault, in milliseconds: well over the promise, so that a silence
    /// that breaks it is measured and not cut off.
    pub(super) const fn observe_ms(self) -> u64 {
        match self {
            Self::RestartAlone => 4_000,
            _ => 2_500,
        }
    }

    pub(super) const fn story(self) -> &'static str {
        match self {
            Self::Kill => "the program that carries all calls is killed in the middle of them (kill -9)",
            Self::Freeze => "the program that carries all calls hangs (SIGSTOP)",
            Self::Cut => "the machine that carries all calls loses its network cable",
            Self::Switchover => "the operator moves the service to the other machine, as for an upgrade",
            Self::Double => "one machine's program is killed, comes back, and then the other one's is killed",
            Self::RestartAlone => "one machine without a partner: its program is killed and starts again",
            Self::Flood => "no fault at all, but every core and the disk are busy with something else",
            Self::All => "one fault after another",
        }
    }
}
