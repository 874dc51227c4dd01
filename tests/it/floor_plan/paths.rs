//! Paths into the crate, found in tokens: `crate::…`, `$crate::…`, `super::…`, `self::…`, and the
//! crate by its own name, with groups, globs and renames.

use std::fmt;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// A path from the root of the crate, and the line where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CratePath {
    /// Ends in `*` for a glob; empty for the root itself.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl fmt::Display for CratePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("crate")?;
        self.segments
            .iter()
            .try_for_each(|segment| write!(f, "::{segment}"))
    }
}

/// All paths into the crate that these tokens of `module` hold, those into the module itself
/// included.
pub(crate) fn in_crate(tokens: &TokenStream, module: &[String]) -> Vec<CratePath> {
    let mut found = Vec::new();
    scan(tokens, module, &mut found);
    found
}

fn scan(tokens: &TokenStream, module: &[String], found: &mut Vec<CratePath>) {
    let trees: Vec<_> = tokens.clone().into_iter().collect();
    let mut at = 0;
    while let Some(tree) = trees.get(at) {
        let rest = &trees[at + 1..];
        match tree {
            TokenTree::Ident(word) if word == "mod" => {
                if let [TokenTree::Ident(name), TokenTree::Group(body), ..] = rest
                    && body.delimiter() == Delimiter::Brace
                {
                    let inner = extended(module, &name.to_string());
                    scan(&body.stream(), &inner, found);
                    at += 2;
                }
            }
            // `pub(in crate::room)` imports nothing.
            TokenTree::Ident(word) if word == "pub" => at += usize::from(is_restriction(rest)),
            TokenTree::Ident(word) if begins_path(word) && !continues_path(&trees[..at]) => {
                let start = match word.to_string().as_str() {
                    "self" | "super" => module.to_vec(),
                    _ => Vec::new(),
                };
                if let Some(tail) = after_colons(rest)
                    && let Some(start) = stepped(start, word)
                {
                    let line = word.span().start().line;
                    at += rest.len() - tail.len() + read(tail, start, line, found);
                }
            }
            TokenTree::Group(group) => scan(&group.stream(), module, found),
            _ => {}
        }
        at += 1;
    }
}

/// Reads what follows `prefix::`, and tells how many of the tokens it was.
fn read(
    tokens: &[TokenTree],
    prefix: Vec<String>,
    line: usize,
    found: &mut Vec<CratePath>,
) -> usize {
    match tokens {
        [TokenTree::Ident(word), rest @ ..] => {
            let Some(path) = stepped(prefix, word) else {
                return 1;
            };
            match after_colons(rest) {
                Some(tail) if goes_on(tail) => {
                    let line = word.span().start().line;
                    tokens.len() - tail.len() + read(tail, path, line, found)
                }
                _ => {
                    found.push(CratePath {
                        segments: path,
                        line,
                    });
                    1
                }
            }
        }
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            read_group(group, &prefix, found);
            1
        }
        [TokenTree::Punct(star), ..] if star.as_char() == '*' => {
            found.push(CratePath {
                segments: extended(&prefix, "*"),
                line,
            });
            1
        }
        _ => {
            found.push(CratePath {
                segments: prefix,
                line,
            });
            0
        }
    }
}

fn read_group(group: &Group, prefix: &[String], found: &mut Vec<CratePath>) {
    let trees: Vec<_> = group.stream().into_iter().collect();
    let is_comma = |tree: &TokenTree| matches!(tree, TokenTree::Punct(p) if p.as_char() == ',');
    for branch in trees.split(is_comma).filter(|branch| !branch.is_empty()) {
        let line = branch[0].span().start().line;
        read(branch, prefix.to_vec(), line, found);
    }
}

/// The path one word further; none above the root of the crate.
fn stepped(mut path: Vec<String>, word: &Ident) -> Option<Vec<String>> {
    match word.to_string().as_str() {
        "self" | "crate" | OWN_NAME => {}
        "super" => drop(path.pop()?),
        name => path.push(name.trim_start_matches("r#").to_owned()),
    }
    Some(path)
}

const OWN_NAME: &str = "orderscope";

fn begins_path(word: &Ident) -> bool {
    ["crate", "super", "self", OWN_NAME]
        .iter()
        .any(|begin| word == begin)
}

/// Whether the tokens before a word make it the middle of a path; `use ::orderscope` begins one.
fn continues_path(before: &[TokenTree]) -> bool {
    let [.., TokenTree::Ident(word), a, b] = before else {
        return false;
    };
    let is_keyword = syn::parse_str::<Ident>(&word.to_string()).is_err();
    !is_keyword && after_colons(&[a.clone(), b.clone()]).is_some()
}

fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(a), TokenTree::Punct(b), rest @ ..]
            if a.as_char() == ':' && b.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// Whether `::` leads on to a name, a group or a glob; else it leads to generic arguments.
fn goes_on(tokens: &[TokenTree]) -> bool {
    match tokens.first() {
        Some(TokenTree::Ident(_)) => true,
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
        Some(TokenTree::Punct(punct)) => punct.as_char() == '*',
        _ => false,
    }
}

fn is_restriction(after_pub: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(group)) = after_pub.first() else {
        return false;
    };
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Parenthesis
        && matches!(first, Some(TokenTree::Ident(word)) if word == "in")
}

fn extended(path: &[String], name: &str) -> Vec<String> {
    let name = name.trim_start_matches("r#");
    path.iter()
        .map(String::as_str)
        .chain([name])
        .map(str::to_owned)
        .collect()
}
