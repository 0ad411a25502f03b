//! Every decoder that reads bytes from outside, fed with damage: it must not panic, must not allocate more than the
//! input's length allows, and what it takes must be what it would write.

mod cluster;
mod files;
mod media;
mod node;
mod objects;
mod pair;
mod phone;
mod replication;
mod sip;
mod vrrp;

#[global_allocator]
static ALLOCATOR: fuzz::Counting = fuzz::Counting;

/// What means something in CBOR: the greatest numbers, lengths beyond any input, null, and what has no length.
const CBOR: &[&[u8]] = &[
    b"\x00",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x1b\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x1a\xff\xff\xff\xff",
    b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x9a\x00\xff\xff\xff",
    b"\x5b\x00\x00\x00\x00\xff\xff\xff\xff",
    b"\x7a\x00\x0f\xff\xff",
    b"\xbb\x00\x00\x00\x00\xff\xff\xff\xff",
    b"\x9f",
    b"\xbf",
    b"\x5f",
    b"\xff",
    b"\xf6",
    b"\x80",
    b"\x81\x81\x81\x81\x81\x81\x81\x81",
    b"\xd9\xff\xff",
];
