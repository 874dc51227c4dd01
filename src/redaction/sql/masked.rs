//! What may be shown of a statement.

use super::{
    Dialect, LONGEST, read,
    tokens::{Kind, Tokens},
};

const MORE: char = '…';

/// The statement with a `?` for each value and each placeholder, without comments, its white space
/// single: at most [`LONGEST`] bytes, and `…`. Values that follow each other are one, `IN (?)`; of
/// rows behind `VALUES` the first stands for all.
pub(crate) fn masked(statement: &str, dialect: Dialect) -> String {
    let (text, is_whole) = read(statement);
    let mut out = Out::default();
    let mut rows = Rows::default();
    for token in Tokens::of(text, dialect) {
        let kind = match token.kind {
            // Among values, SQLite takes it for one.
            Kind::Quoted(_) if dialect == Dialect::Sqlite && rows.is_within() => Kind::Value,
            kind => kind,
        };
        match rows.take(kind) {
            Taken::Shown => out.push(kind, token.is_apart),
            Taken::ShownAfterComma => {
                out.push(Kind::Symbol(","), false);
                out.push(kind, token.is_apart);
            }
            Taken::LeftOut => {}
        }
        if out.text.len() > LONGEST {
            return out.cut();
        }
    }
    let mut text = out.text;
    if !is_whole {
        text.push(MORE);
    }
    while text.ends_with([';', ' ']) {
        text.pop();
    }
    text
}

#[derive(Default)]
struct Out {
    text: String,
    last: Last,
    /// A sign that may belong to a number.
    sign: Option<(char, bool)>,
}

/// What came last, and where the value before it ended.
#[derive(Clone, Copy, Default)]
enum Last {
    #[default]
    Other,
    Value(usize),
    ValueAndComma(usize),
}

impl Out {
    fn push(&mut self, kind: Kind<'_>, is_apart: bool) {
        if let Kind::Symbol(symbol @ ("-" | "+")) = kind
            && self.sign.is_none()
            && self.is_open()
        {
            self.sign = Some((if symbol == "-" { '-' } else { '+' }, is_apart));
            return;
        }
        let mut is_apart = is_apart;
        if let Some((sign, sign_is_apart)) = self.sign.take() {
            // Of a value it says something.
            match kind {
                Kind::Value => is_apart = sign_is_apart,
                _ => self.write(sign.encode_utf8(&mut [0; 4]), sign_is_apart),
            }
        }
        match (kind, self.last) {
            (Kind::Value, Last::ValueAndComma(end)) => {
                self.text.truncate(end);
                self.last = Last::Value(end);
            }
            (Kind::Value, _) => {
                self.write("?", is_apart);
                self.last = Last::Value(self.text.len());
            }
            (Kind::Symbol(","), Last::Value(end)) => {
                self.write(",", is_apart);
                self.last = Last::ValueAndComma(end);
            }
            (Kind::Word(text) | Kind::Quoted(text) | Kind::Symbol(text), _) => {
                self.write(text, is_apart);
                self.last = Last::Other;
            }
        }
    }

    /// Whether a sign would be one of the value that comes.
    fn is_open(&self) -> bool {
        let last = self.text.trim_end().as_bytes().last();
        last.is_none_or(|last| b"(,=<>*/%|+-".contains(last))
    }

    fn write(&mut self, text: &str, is_apart: bool) {
        if is_apart && !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(text);
    }

    fn cut(mut self) -> String {
        let end = (0..=LONGEST)
            .rev()
            .find(|at| self.text.is_char_boundary(*at));
        self.text.truncate(end.unwrap_or_default());
        self.text.push(MORE);
        self.text
    }
}

/// The rows behind `VALUES`.
#[derive(Default)]
struct Rows {
    state: State,
    depth: usize,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum State {
    #[default]
    Outside,
    /// `VALUES` was read.
    Before,
    First,
    AfterFirst,
    /// A comma that leads to a row more, or to something else.
    Comma,
    Further,
    AfterFurther,
}

enum Taken {
    Shown,
    ShownAfterComma,
    LeftOut,
}

impl Rows {
    fn is_within(&self) -> bool {
        matches!(self.state, State::First | State::Further)
    }

    fn take(&mut self, kind: Kind<'_>) -> Taken {
        use State::{AfterFirst, AfterFurther, Before, Comma, First, Further, Outside};
        let is = |symbol| kind == Kind::Symbol(symbol);
        if self.is_within() {
            self.depth += usize::from(is("("));
            self.depth -= usize::from(is(")"));
            let was = self.state;
            if self.depth == 0 {
                self.state = if was == First {
                    AfterFirst
                } else {
                    AfterFurther
                };
            }
            return if was == First {
                Taken::Shown
            } else {
                Taken::LeftOut
            };
        }
        let begins = matches!(kind, Kind::Word(word) if word.eq_ignore_ascii_case("VALUES"));
        let (next, taken) = match self.state {
            Before if is("(") => (First, Taken::Shown),
            Comma if is("(") => (Further, Taken::LeftOut),
            AfterFirst | AfterFurther if is(",") => (Comma, Taken::LeftOut),
            Comma => (Outside, Taken::ShownAfterComma),
            _ if begins => (Before, Taken::Shown),
            _ => (Outside, Taken::Shown),
        };
        self.depth = usize::from(matches!(next, First | Further));
        self.state = next;
        taken
    }
}
