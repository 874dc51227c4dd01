//! A helper that several call.

use orderscope::capture_error;
use std::{hint::black_box, io};

fn look_up(key: &str) -> Option<u32> {
    if black_box(key).is_empty() {
        return black_box(Some(1));
    }
    capture_error(&io::Error::from(io::ErrorKind::ConnectionRefused));
    black_box(None)
}

pub fn place_order() {
    let known = look_up("place").unwrap_or_default();
    black_box(known);
}

pub fn cancel_order() {
    let known = look_up("cancel").map_or(7, |id| id + 1);
    black_box(known);
}
