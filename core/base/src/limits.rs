//! Bounds that more than one room needs, each with its reason and what happens when it is reached.

/// The largest UDP payload over IPv4 (RFC 768). Longer input cannot have come from a socket and is refused.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// The largest replicated object. A step that would write a longer one fails that one call, so that no frame of the
/// log grows without bound.
pub const OBJECT_BYTES_MAX: usize = 128 * 1024;
