//! Types of errors that can be told though they stand behind a `dyn Error`: those of the standard
//! library, whose `Debug` often begins with something else.

use std::{
    char, env,
    error::Error,
    fmt, io,
    net::AddrParseError,
    num::{ParseFloatError, ParseIntError, TryFromIntError},
    str::{ParseBoolError, Utf8Error},
    string::FromUtf8Error,
    sync::mpsc::{RecvError, RecvTimeoutError, TryRecvError},
    time::SystemTimeError,
};

macro_rules! known {
    ($error:ident: $($type:ty => $name:literal,)+) => {
        $(if $error.is::<$type>() { Some($name) } else)+ { None }
    };
}

/// As the standard library's documentation spells them.
pub(super) fn known(error: &(dyn Error + 'static)) -> Option<&'static str> {
    known!(error:
        io::Error => "std::io::Error",
        ParseIntError => "std::num::ParseIntError",
        ParseFloatError => "std::num::ParseFloatError",
        TryFromIntError => "std::num::TryFromIntError",
        ParseBoolError => "std::str::ParseBoolError",
        Utf8Error => "std::str::Utf8Error",
        FromUtf8Error => "std::string::FromUtf8Error",
        AddrParseError => "std::net::AddrParseError",
        char::ParseCharError => "std::char::ParseCharError",
        env::VarError => "std::env::VarError",
        fmt::Error => "std::fmt::Error",
        RecvError => "std::sync::mpsc::RecvError",
        RecvTimeoutError => "std::sync::mpsc::RecvTimeoutError",
        TryRecvError => "std::sync::mpsc::TryRecvError",
        SystemTimeError => "std::time::SystemTimeError",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_standard_library_is_told_by_its_type() {
        let io: Box<dyn Error> = io::Error::other("disk").into();
        assert_eq!(known(&*io), Some("std::io::Error"));
        let parsed: Box<dyn Error> = "x".parse::<u8>().unwrap_err().into();
        assert_eq!(known(&*parsed), Some("std::num::ParseIntError"));
        let text: Box<dyn Error> = "said".into();
        assert_eq!(known(&*text), None);
    }
}
