//! Lists that others send, read within their bounds.

use minicbor::{Decode, Decoder, decode};

/// Reads at most so many elements, and stops before the list grows beyond that; `too_many` is the error then.
pub(crate) fn bounded_list<'bytes, C, T: Decode<'bytes, C>>(
    d: &mut Decoder<'bytes>,
    context: &mut C,
    max: usize,
    too_many: &'static str,
) -> Result<Vec<T>, decode::Error> {
    let mut list = Vec::new();
    for element in d.array_iter_with(context)? {
        if list.len() == max {
            return Err(decode::Error::message(too_many));
        }
        list.push(element?);
    }
    Ok(list)
}
