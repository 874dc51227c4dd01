//! What a statement does to which tables, in few words that are few over all statements.

use super::{
    Dialect, read,
    tokens::{Kind, Token, Tokens},
    words::{BETWEEN, CLAUSES, KINDS, VERBS},
};
use compact_str::CompactString;
use std::iter::Peekable;

/// As the conventions have it.
const LONGEST: usize = 255;
/// With the space behind it.
const LONGEST_VERB: usize = 11;
const MOST_TABLES: usize = 2;
/// What begins with no word that a statement begins with.
const OTHER: &str = "_OTHER";

/// The operation and the first two tables, in the order in which they stand: `SELECT orders`,
/// `INSERT archive SELECT orders`, `CREATE TABLE orders`. Names are without quotes, those of `WITH`
/// are left out. Of several statements the first counts.
pub(crate) fn summary(statement: &str, dialect: Dialect) -> CompactString {
    let (text, _) = read(statement);
    let mut scan = Scan {
        tokens: Tokens::of(text, dialect).peekable(),
        said: CompactString::default(),
        verb: "",
        tables: Vec::new(),
        of_with: Vec::new(),
        is_with: false,
        groups: vec![Group::default()],
    };
    scan.run();
    let mut said = CompactString::const_new(if scan.verb.is_empty() {
        OTHER
    } else {
        scan.verb
    });
    if !scan.said.is_empty() && !scan.verb.is_empty() {
        said.push(' ');
        said.push_str(&scan.said);
    }
    said
}

struct Scan<'a> {
    tokens: Peekable<Tokens<'a>>,
    /// What stands behind the verb.
    said: CompactString,
    /// Of the whole statement; empty until it is known.
    verb: &'static str,
    tables: Vec<CompactString>,
    /// Names that `WITH` gives.
    of_with: Vec<&'a str>,
    is_with: bool,
    /// What is open, each within the one before.
    groups: Vec<Group>,
}

/// The statement, or what stands between parentheses in it.
#[derive(Clone, Copy, Default)]
struct Group {
    has_begun: bool,
    is_query: bool,
    /// In the list of tables behind `FROM`.
    is_in_list: bool,
}

/// Parentheses within each other that are looked at.
const DEEPEST: usize = 64;

impl<'a> Scan<'a> {
    fn run(&mut self) {
        let mut previous = "";
        while let Some(token) = self.tokens.next() {
            if self.tables.len() == MOST_TABLES && !self.verb.is_empty() {
                return;
            }
            match token.kind {
                // Around the first of several queries.
                Kind::Symbol("(") if self.groups.len() == 1 && !self.group().has_begun => {}
                Kind::Symbol("(") if self.groups.len() < DEEPEST => {
                    self.groups.push(Group::default());
                }
                Kind::Symbol("(") => return,
                Kind::Symbol(")") if self.groups.len() > 1 => {
                    self.groups.pop();
                }
                Kind::Symbol(";") if self.groups.len() == 1 && !self.verb.is_empty() => return,
                Kind::Symbol(",") if self.group().is_in_list => self.table(true),
                Kind::Word(word) => {
                    if !self.word(word, previous) {
                        return;
                    }
                    previous = word;
                    continue;
                }
                Kind::Quoted(name) if self.is_naming() => self.of_with.push(bare(name)),
                _ => {}
            }
            previous = "";
        }
    }

    fn group(&self) -> Group {
        self.groups.last().copied().unwrap_or_default()
    }

    fn change(&mut self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.last_mut() {
            change(group);
        }
    }

    /// Between `WITH` and what it is for.
    fn is_naming(&self) -> bool {
        self.is_with && self.verb.is_empty() && self.groups.len() == 1
    }

    /// Whether there is more to look for.
    fn word(&mut self, word: &'a str, previous: &str) -> bool {
        let is = |known: &str| word.eq_ignore_ascii_case(known);
        let came = |known: &str| previous.eq_ignore_ascii_case(known);
        let is_first = !self.group().has_begun;
        self.change(|group| group.has_begun = true);
        let is_outermost = self.groups.len() == 1;
        if is_outermost && self.verb.is_empty() && !(is_first && is("WITH")) {
            return self.begin(word);
        }
        if is_first {
            let queries = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"];
            let is_query = queries.iter().any(|known| is(known));
            self.change(|group| group.is_query = is_query);
            self.is_with |= is_outermost;
            if is("UPDATE") {
                self.table(false);
            }
            return true;
        }
        if CLAUSES.iter().any(|known| is(known)) {
            self.change(|group| group.is_in_list = false);
        }
        let is_query = is_outermost || self.group().is_query;
        if is("FROM") && is_query && !came("DISTINCT") {
            self.change(|group| group.is_in_list = true);
            self.table(true);
        } else if is("JOIN") || (is("USING") && matches!(self.verb, "MERGE" | "DELETE")) {
            self.table(true);
        } else if is("INTO") {
            self.table(false);
        } else if is("SELECT") && is_outermost && matches!(self.verb, "INSERT" | "REPLACE") {
            self.say("SELECT");
        }
        true
    }

    /// The first word of the statement, or of what `WITH` is for.
    fn begin(&mut self, word: &'a str) -> bool {
        let verb = VERBS
            .into_iter()
            .find(|known| word.eq_ignore_ascii_case(known));
        let Some(verb) = verb else {
            if self.is_with {
                self.of_with.push(word);
            }
            return self.is_with;
        };
        self.verb = verb;
        match verb {
            "SELECT" | "INSERT" | "DELETE" | "REPLACE" | "MERGE" | "UPSERT" => true,
            "UPDATE" | "CALL" | "EXEC" => {
                self.table(false);
                true
            }
            "CREATE" | "ALTER" | "DROP" | "TRUNCATE" => {
                self.object(verb);
                false
            }
            "COPY" => {
                self.table(false);
                false
            }
            _ => false,
        }
    }

    /// `TABLE orders` behind `CREATE` and its like.
    fn object(&mut self, verb: &str) {
        self.skip_between();
        let kind = match self.tokens.peek() {
            Some(Token {
                kind: Kind::Word(word),
                ..
            }) => KINDS
                .into_iter()
                .find(|known| word.eq_ignore_ascii_case(known)),
            _ => None,
        };
        if let Some(kind) = kind {
            self.tokens.next();
            if verb != "TRUNCATE" {
                self.say(kind);
            }
        }
        // Who may connect is nobody's business.
        if kind.is_some_and(|kind| !matches!(kind, "USER" | "ROLE")) || verb == "TRUNCATE" {
            self.table(false);
        }
    }

    fn skip_between(&mut self) {
        let is_between = |token: &Token<'_>| match token.kind {
            Kind::Word(word) => BETWEEN.iter().any(|known| word.eq_ignore_ascii_case(known)),
            _ => false,
        };
        while self.tokens.next_if(is_between).is_some() {}
    }

    /// The name that comes, if one does; not that of a function, where one may come.
    fn table(&mut self, may_be_function: bool) {
        self.skip_between();
        let mut name = CompactString::default();
        let mut parts = 0;
        while let Some(part) = self.part() {
            name.push_str(part);
            parts += 1;
            if self
                .tokens
                .next_if(|token| token.kind == Kind::Symbol("."))
                .is_none()
            {
                break;
            }
            name.push('.');
        }
        let opens = |token: &Token<'_>| token.kind == Kind::Symbol("(");
        let is_function = may_be_function && self.tokens.peek().is_some_and(opens);
        let is_of_with = parts == 1
            && self
                .of_with
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&name));
        let is_new = !name.is_empty() && !self.tables.contains(&name);
        if is_new && !is_function && !is_of_with && self.tables.len() < MOST_TABLES {
            self.say(&name);
            self.tables.push(name);
        }
    }

    fn part(&mut self) -> Option<&'a str> {
        match self.tokens.peek()?.kind {
            // `INTO @name`, `INTO OUTFILE 'path'`.
            Kind::Word(word)
                if word.starts_with(['@', ':', '$'])
                    || ["OUTFILE", "DUMPFILE", "SELECT", "VALUES", "SET"]
                        .iter()
                        .any(|known| word.eq_ignore_ascii_case(known)) =>
            {
                None
            }
            Kind::Word(word) => {
                self.tokens.next();
                Some(word)
            }
            Kind::Quoted(name) => {
                self.tokens.next();
                Some(bare(name))
            }
            Kind::Value | Kind::Symbol(_) => None,
        }
    }

    fn say(&mut self, word: &str) {
        let separator = usize::from(!self.said.is_empty());
        if LONGEST_VERB + self.said.len() + separator + word.len() <= LONGEST {
            if separator > 0 {
                self.said.push(' ');
            }
            self.said.push_str(word);
        }
    }
}

/// Without its quotes.
fn bare(name: &str) -> &str {
    let inner = name.get(1..name.len().saturating_sub(1));
    inner.unwrap_or_default()
}
