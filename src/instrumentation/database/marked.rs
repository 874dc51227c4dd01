//! What sqlx does for a query that is measured, marked as such from its first poll to its drop.

use super::bare::measured;
use futures_core::Stream;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// A boxed future or stream.
pub(super) struct Marked<T>(Option<Pin<Box<T>>>)
where
    T: ?Sized;

impl<T: ?Sized> Marked<T> {
    pub(super) fn new(inner: Pin<Box<T>>) -> Self {
        Self(Some(inner))
    }
}

impl<T: Future + ?Sized> Future for Marked<T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        match &mut self.0 {
            Some(inner) => measured(|| inner.as_mut().poll(cx)),
            None => Poll::Pending,
        }
    }
}

impl<T: Stream + ?Sized> Stream for Marked<T> {
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        match &mut self.0 {
            Some(inner) => measured(|| inner.as_mut().poll_next(cx)),
            None => Poll::Ready(None),
        }
    }
}

/// sqlx tells of a query that is given up when it is dropped.
impl<T: ?Sized> Drop for Marked<T> {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            measured(|| drop(inner));
        }
    }
}
