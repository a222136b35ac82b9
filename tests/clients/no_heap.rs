//! The tiny seeder with an allocator that ends the program when it is asked for anything after the start.
//! The line that a test puts in front names the seeder's file: `#[path = "..."] mod tiny_seeder;`

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

struct Closing;

static CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: every call is passed on to the system's allocator as it came, or does not return.
unsafe impl GlobalAlloc for Closing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if CLOSED.load(Ordering::Relaxed) {
            std::process::abort();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Closing = Closing;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut seeder = tiny_seeder::Seeder::boot(&args).expect("good arguments");
    println!("serving on {}", seeder.port());
    CLOSED.store(true, Ordering::Relaxed);
    loop {
        if seeder.turn() == tiny_seeder::Progress::None {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
