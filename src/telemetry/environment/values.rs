//! Variables by the kind of their value. Around a value, blanks do not count; nor does the case of
//! a word.

use super::Variables;
use crate::error::Error;
use std::time::Duration;

/// The value, `None` when there is nothing in it.
pub(super) fn text(variables: &impl Variables, name: &str) -> Result<Option<String>, Error> {
    let value = variables.value(name)?;
    let value = value.map(|value| value.trim().to_owned());
    Ok(value.filter(|value| !value.is_empty()))
}

/// What the word in the variable stands for. `else_accepted` says more of the others.
pub(super) fn word<T: Copy>(
    variables: &impl Variables,
    name: &str,
    known: &[(&str, T)],
    else_accepted: &str,
) -> Result<Option<T>, Error> {
    let Some(value) = text(variables, name)? else {
        return Ok(None);
    };
    let found = known
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(&value));
    match found {
        Some((_, meant)) => Ok(Some(*meant)),
        None => {
            let accepted = one_of(known.iter().map(|(word, _)| *word));
            Err(Error::configuration(
                name,
                value,
                format!("{accepted}{else_accepted}"),
            ))
        }
    }
}

/// The words of a list.
pub(super) struct Words {
    name: String,
    list: String,
    /// In lower case, each once.
    words: Vec<String>,
}

impl Words {
    /// `None` when there is no word in it.
    pub(super) fn read(variables: &impl Variables, name: &str) -> Result<Option<Self>, Error> {
        let list = text(variables, name)?.unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        for word in list.split(',').map(str::trim) {
            let word = word.to_ascii_lowercase();
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
        let name = name.to_owned();
        Ok((!words.is_empty()).then_some(Self { name, list, words }))
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|ours| ours == word)
    }

    /// Refuses every word that is neither known nor `tolerated`, and `none` beside another.
    pub(super) fn check(&self, known: &[&str], tolerated: &[&str]) -> Result<(), Error> {
        let refused = |accepted| Err(Error::configuration(&self.name, &self.list, accepted));
        let is_known = |word: &str| known.contains(&word) || tolerated.contains(&word);
        if let Some(unknown) = self.words.iter().find(|word| !is_known(word)) {
            let known = one_of(known.iter().copied());
            return refused(format!(
                "{known}, or a list of them, which {unknown:?} is not"
            ));
        }
        if self.has("none") && self.words.len() > 1 {
            return refused("`none` alone, or a list without it".to_owned());
        }
        Ok(())
    }
}

/// `` `a`, `b` or `c` ``.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// A whole number, `lowest` or more; the largest fits any `usize` that we count in.
pub(super) fn number(
    variables: &impl Variables,
    name: &str,
    lowest: u32,
) -> Result<Option<usize>, Error> {
    let number = whole(variables, name, lowest, "a whole number")?;
    Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
}

/// Whole milliseconds, `lowest` or more.
pub(super) fn duration(
    variables: &impl Variables,
    name: &str,
    lowest: u32,
) -> Result<Option<Duration>, Error> {
    let number = whole(variables, name, lowest, "whole milliseconds")?;
    Ok(number.map(|number| Duration::from_millis(u64::from(number))))
}

fn whole(
    variables: &impl Variables,
    name: &str,
    lowest: u32,
    what: &str,
) -> Result<Option<u32>, Error> {
    let Some(value) = text(variables, name)? else {
        return Ok(None);
    };
    match value.parse::<u32>() {
        Ok(number) if number >= lowest => Ok(Some(number)),
        _ => {
            let accepted = format!("{what}, {lowest} to {}", u32::MAX);
            Err(Error::configuration(name, value, accepted))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Given, *};

    #[test]
    fn blanks_around_a_value_and_its_case_do_not_count() {
        let given = Given(&[
            ("WORD", " True\n"),
            ("LIST", " a,, B ,b,a"),
            ("BLANK", "  "),
        ]);
        let known = [("true", 1), ("false", 2)];
        assert_eq!(word(&given, "WORD", &known, "").unwrap(), Some(1));
        let list = Words::read(&given, "LIST").unwrap().unwrap();
        assert_eq!(list.words, ["a", "b"]);
        assert!(Words::read(&given, "BLANK").unwrap().is_none());
        assert_eq!(word(&given, "BLANK", &known, "").unwrap(), None);
        assert_eq!(number(&given, "BLANK", 1).unwrap(), None);
        assert_eq!(number(&given, "UNSET", 1).unwrap(), None);
    }

    #[test]
    fn a_number_is_one_from_the_lowest_to_the_highest() {
        let read = |value| duration(&Given(&[("TIME", value)]), "TIME", 1);
        assert_eq!(read(" 1 ").unwrap(), Some(Duration::from_millis(1)));
        assert_eq!(
            read("4294967295").unwrap(),
            Some(Duration::from_millis(4_294_967_295))
        );
        for value in ["0", "-1", "1.5", "10s", "4294967296", "ten", "0x10"] {
            assert_eq!(
                read(value).unwrap_err().to_string(),
                format!("TIME is {value:?}, but must be whole milliseconds, 1 to 4294967295")
            );
        }
        let zero = Given(&[("COUNT", "0")]);
        assert_eq!(number(&zero, "COUNT", 0).unwrap(), Some(0));
    }

    #[test]
    fn a_word_that_is_none_is_named_with_all_that_are() {
        let read = |known: &[(&str, u8)]| word(&Given(&[("WORD", "x")]), "WORD", known, "!");
        let message = |known| read(known).unwrap_err().to_string();
        assert_eq!(
            message(&[("a", 1), ("b", 2), ("c", 3)]),
            "WORD is \"x\", but must be `a`, `b` or `c`!"
        );
        assert!(message(&[("a", 1)]).ends_with("must be `a`!"));
    }
}
