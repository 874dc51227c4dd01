//! Amounts of money: whole minor units and a currency, never a floating-point sum.

use crate::{context, pipeline};
use std::fmt;

/// An amount in whole minor units of its currency: cents, øre, fils, or whole yen.
///
/// ```
/// use orderscope::events::{Currency, Money};
///
/// assert_eq!(Money::minor(2350, Currency::EUR).to_string(), "23.50 EUR");
/// assert_eq!(Money::minor(2350, Currency::JPY).to_string(), "2350 JPY");
/// assert_eq!(Money::minor(-5, Currency::KWD).to_string(), "-0.005 KWD");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// `units` minor units of `currency`; negative for what is paid back.
    pub const fn minor(units: i64, currency: Currency) -> Self {
        Self {
            minor: units,
            currency,
        }
    }

    /// As [`minor`](Self::minor), in a currency whose code comes from outside. A code that is not
    /// known is counted in `orderscope.events.refused{reason="unknown_currency"}`, and there is no
    /// money to track an event with.
    ///
    /// ```
    /// use orderscope::events::Money;
    ///
    /// assert!(Money::in_code(2350, "EUR").is_some());
    /// assert!(Money::in_code(2350, "euro").is_none());
    /// ```
    pub fn in_code(units: i64, code: &str) -> Option<Self> {
        let currency = Currency::from_code(code);
        if currency.is_none() {
            match context::pipeline() {
                Some(pipeline) => pipeline
                    .counters
                    .events_refused
                    .get(UNKNOWN_CURRENCY)
                    .add(1),
                None => pipeline::count_unclaimed(),
            }
        }
        currency.map(|currency| Self::minor(units, currency))
    }

    /// The amount in minor units.
    pub const fn minor_units(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The number nearest to the amount in the currency's major unit, as it is sent. Up to 2^53
    /// minor units it reads back as the same decimal.
    pub(super) fn to_decimal(self) -> f64 {
        // One division, of two numbers that are exact.
        self.minor as f64 / self.currency.minor_per_major() as f64
    }
}

/// The amount with as many decimals as its currency has, and the currency's code: `23.50 EUR`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_major = self.currency.minor_per_major();
        let (units, decimals) = (self.minor.unsigned_abs(), self.currency.decimals());
        let sign = if self.minor < 0 { "-" } else { "" };
        let major = units / per_major;
        write!(f, "{sign}{major}")?;
        if decimals > 0 {
            let width = usize::from(decimals);
            write!(f, ".{:0width$}", units % per_major)?;
        }
        write!(f, " {}", self.currency)
    }
}

/// A currency of ISO 4217 that has a minor unit, or needs none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

macro_rules! currencies {
    ($($code:ident: $name:literal,)+) => {
        /// The usual ones; [`from_code`](Self::from_code) knows all.
        impl Currency {
            $(
                #[doc = concat!($name, ".")]
                pub const $code: Self = Self(iso_currency::Currency::$code);
            )+
        }
    };
}

currencies! {
    AED: "United Arab Emirates dirham",
    ARS: "Argentine peso",
    AUD: "Australian dollar",
    BGN: "Bulgarian lev",
    BRL: "Brazilian real",
    CAD: "Canadian dollar",
    CHF: "Swiss franc",
    CLP: "Chilean peso, without a minor unit",
    CNY: "Renminbi (Chinese) yuan",
    COP: "Colombian peso",
    CZK: "Czech koruna",
    DKK: "Danish krone",
    EGP: "Egyptian pound",
    EUR: "Euro",
    GBP: "Pound sterling",
    HKD: "Hong Kong dollar",
    HUF: "Hungarian forint",
    IDR: "Indonesian rupiah",
    ILS: "Israeli new shekel",
    INR: "Indian rupee",
    ISK: "Icelandic króna, without a minor unit",
    JPY: "Japanese yen, without a minor unit",
    KRW: "South Korean won, without a minor unit",
    KWD: "Kuwaiti dinar, of 1,000 fils",
    MAD: "Moroccan dirham",
    MXN: "Mexican peso",
    MYR: "Malaysian ringgit",
    NGN: "Nigerian naira",
    NOK: "Norwegian krone",
    NZD: "New Zealand dollar",
    PEN: "Peruvian sol",
    PHP: "Philippine peso",
    PKR: "Pakistani rupee",
    PLN: "Polish złoty",
    RON: "Romanian leu",
    SAR: "Saudi riyal",
    SEK: "Swedish krona",
    SGD: "Singapore dollar",
    THB: "Thai baht",
    TRY: "Turkish lira",
    TWD: "New Taiwan dollar",
    UAH: "Ukrainian hryvnia",
    USD: "United States dollar",
    VND: "Vietnamese đồng, without a minor unit",
    ZAR: "South African rand",
}

impl Currency {
    /// By its code, three capital letters. `None`: ISO 4217 has no such code, or it stands for no
    /// money that can be counted in units, as those of gold, of tests and of no currency do.
    pub fn from_code(code: &str) -> Option<Self> {
        let known = iso_currency::Currency::from_code(code)?;
        known.exponent().map(|_| Self(known))
    }

    /// Three capital letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimals its amounts are written with: 2 for euros, 0 for yen, 3 for Kuwaiti
    /// dinars.
    pub fn decimals(self) -> u8 {
        // The greatest of the table is 4; without an exponent no value is made.
        self.0.exponent().map_or(0, |exponent| exponent as u8)
    }

    fn minor_per_major(self) -> u64 {
        10_u64.pow(self.decimals().into())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The reason for which an amount in an unknown currency is refused.
const UNKNOWN_CURRENCY: &str = "unknown_currency";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_that_stand_for_no_money_are_unknown() {
        for code in ["", "eur", "EURO", "XXX", "XTS", "XAU", "ABC", "€"] {
            assert_eq!(Currency::from_code(code), None, "{code}");
        }
        assert_eq!(Currency::from_code("CLF").unwrap().decimals(), 4);
    }

    #[test]
    fn the_greatest_and_the_smallest_amounts_are_written_too() {
        let written = |minor| Money::minor(minor, Currency::USD).to_string();
        assert_eq!(written(i64::MIN), "-92233720368547758.08 USD");
        assert_eq!(written(i64::MAX), "92233720368547758.07 USD");
        assert_eq!(written(0), "0.00 USD");
    }

    proptest! {
        #[test]
        fn an_amount_is_written_with_the_decimals_that_iso_4217_gives_its_currency(
            code in "[A-Z]{3}", minor in -(1_i64 << 53)..(1_i64 << 53),
        ) {
            // Random letters are a currency once in a hundred; the rest of the cases take another.
            let currency = Currency::from_code(&code).unwrap_or(match minor % 4 {
                0 => Currency::JPY,
                1 => Currency::EUR,
                2 => Currency::KWD,
                _ => Currency::from_code("UYW").unwrap(),
            });
            let oracle = iso_currency::Currency::from_code(currency.code()).unwrap();
            let money = Money::minor(minor, currency);
            let written = money.to_string();
            let (amount, code) = written.split_once(' ').unwrap();
            prop_assert_eq!(code, oracle.code());
            let decimals = amount.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            prop_assert_eq!(decimals, usize::from(oracle.exponent().unwrap()));
            // Without its point it is the minor units again.
            let digits: String = amount.chars().filter(|c| *c != '.').collect();
            prop_assert_eq!(digits.parse::<i64>().unwrap(), minor);
            // And what is sent is the number that the text spells.
            prop_assert_eq!(money.to_decimal(), amount.parse::<f64>().unwrap());
        }
    }
}
