//! Errors that are dealt with.

use orderscope::{capture_error, errors::HandlerError};
use std::{error::Error, fmt, hint::black_box, num::ParseIntError};

#[derive(Debug)]
struct Declined(&'static str);

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Declined {}

fn amount(text: &str) -> Result<u32, ParseIntError> {
    black_box(text).parse()
}

pub fn read_amount() {
    if let Err(error) = amount("seven") {
        capture_error(&error);
    }
    black_box(());
}

pub fn read_currency() {
    let error = Declined("no such currency");
    capture_error(&error);
    black_box(());
}

fn refund<T: TryFrom<i64, Error: Error>>(cents: i64) -> Option<T> {
    T::try_from(black_box(cents))
        .map_err(|error| {
            capture_error(&error);
            black_box(());
        })
        .ok()
}

pub fn refund_in_cents() {
    black_box(refund::<u8>(-1));
}

pub fn sum_up() {
    let sum: u32 = ["1", "two"]
        .iter()
        .map(|text| {
            amount(text).unwrap_or_else(|error| {
                capture_error(&error);
                black_box(0)
            })
        })
        .sum();
    black_box(sum);
}

pub fn sum_up_again() {
    let add = |sum: u32, text: &&str| match amount(text) {
        Ok(more) => sum + more,
        Err(error) => {
            capture_error(&error);
            black_box(sum)
        }
    };
    black_box(["3", "four"].iter().fold(0, add));
}

trait Pay {
    fn pay(&self) -> u32;
}

struct Card;

struct Cash;

impl Pay for Card {
    fn pay(&self) -> u32 {
        capture_error(&Declined("the card"));
        black_box(1)
    }
}

impl Pay for Cash {
    fn pay(&self) -> u32 {
        capture_error(&Declined("the change"));
        black_box(2)
    }
}

pub fn pay_by_card() {
    black_box(Card.pay());
}

pub fn pay_in_cash() {
    black_box(Cash.pay());
}

struct Receipt;

impl Drop for Receipt {
    fn drop(&mut self) {
        capture_error(&Declined("not printed"));
        black_box(());
    }
}

pub fn forget_receipt() {
    let receipt = Receipt;
    black_box(&receipt);
    drop(receipt);
}

pub fn read_tip() {
    let tip = amount("a lot").inspect_err(capture_error);
    black_box(tip.is_ok());
}

pub fn answer() {
    let error = HandlerError::new(&Declined("at the counter"));
    black_box(&error);
    drop(error);
}

pub fn log() {
    let error = Declined("on paper");
    tracing::error!(error = &error as &(dyn Error + 'static), "not paid");
    black_box(());
}
