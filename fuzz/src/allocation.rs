//! Counts what this thread allocates, so that a target can say how much reading an input may take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATED_BYTES: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator with a count. To be made the global allocator of a test program:
/// `#[global_allocator] static ALLOCATOR: Counting = Counting;`
pub struct Counting;

/// Bytes that this thread has asked for so far, freed ones too. Stands still when `Counting` is not the global
/// allocator.
pub fn allocated_bytes() -> u64 {
    ALLOCATED_BYTES.get()
}

/// Whether `Counting` is the global allocator of this program.
pub fn is_counting() -> bool {
    let before = allocated_bytes();
    drop(std::hint::black_box(Box::new([0_u8; 64])));
    allocated_bytes() > before
}

fn count(bytes: usize) {
    // A thread that is ending has no count any more, and nothing that is measured runs on it.
    let _ = ALLOCATED_BYTES.try_with(|allocated| allocated.set(allocated.get().saturating_add(bytes as u64)));
}

// SAFETY: every call is handed on to the system's allocator as it came; counting neither allocates nor unwinds, because
// the count is a plain number that is initialised at compile time.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the same contract with us as we with the system.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(bytes);
        // SAFETY: as in `alloc`.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }
}
