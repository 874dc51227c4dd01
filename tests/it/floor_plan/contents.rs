//! What stands in a file whatever it imports: `unsafe`, readings of the clock, its length.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Sources, Violation, plan};

/// Lines of code before the unit tests, without comments and blank lines.
pub(crate) const MOST_LINES: usize = 320;

/// A source, read.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) tokens: TokenStream,
    pub(crate) items: Vec<syn::Item>,
    text: String,
    /// A module of its own under `#[cfg(test)]`.
    is_test: bool,
}

/// The files that can be read, and a violation for each that cannot.
pub(crate) fn parsed(sources: &Sources) -> (Vec<File>, Vec<Violation>) {
    let (mut files, mut found) = (Vec::new(), Vec::new());
    for (path, text) in sources {
        match (text.parse::<TokenStream>(), syn::parse_file(text)) {
            (Ok(tokens), Ok(file)) => files.push(File {
                path: path.clone(),
                tokens,
                items: file.items,
                text: text.clone(),
                is_test: false,
            }),
            (_, Err(error)) => found.push(Violation {
                path: path.clone(),
                line: error.span().start().line,
                what: format!("is no Rust: {error}"),
            }),
            (Err(error), _) => found.push(Violation {
                path: path.clone(),
                line: error.span().start().line,
                what: format!("is no Rust: {error}"),
            }),
        }
    }
    let tests: BTreeSet<Vec<String>> = files.iter().flat_map(test_modules).collect();
    for file in &mut files {
        let module = plan::module_of_file(&file.path);
        file.is_test = (1..=module.len()).any(|depth| tests.contains(&module[..depth]));
    }
    (files, found)
}

/// The modules that a file declares as `#[cfg(test)] mod name;`.
fn test_modules(file: &File) -> impl Iterator<Item = Vec<String>> {
    let parent = plan::module_of_file(&file.path);
    file.items.iter().filter_map(move |item| match item {
        syn::Item::Mod(module)
            if module.content.is_none() && module.attrs.iter().any(is_cfg_test) =>
        {
            let name = module.ident.to_string();
            Some(parent.iter().cloned().chain([name]).collect())
        }
        _ => None,
    })
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && says_test(&list.tokens),
        _ => false,
    }
}

/// `test`, or `all(test, …)`.
fn says_test(condition: &TokenStream) -> bool {
    let condition = condition.to_string().replace(' ', "");
    condition == "test" || condition.starts_with("all(test,")
}

pub(crate) fn violations(file: &File) -> Vec<Violation> {
    let violation = |line, what: &str| Violation {
        path: file.path.clone(),
        line,
        what: what.to_owned(),
    };
    let mut found = Vec::new();
    if !holds_unsafe(&file.path) {
        let lines = lines_with_unsafe(&file.tokens);
        found.extend(
            lines
                .into_iter()
                .map(|line| violation(line, "`unsafe` stands in src/stack and src/worker.rs only")),
        );
    }
    if !file.is_test && file.path != "src/clock.rs" {
        let mut lines = Vec::new();
        readings_of_time(&file.tokens, &mut lines);
        found.extend(lines.into_iter().map(|line| {
            violation(
                line,
                "`Instant::now` and `SystemTime::now` stand in src/clock.rs only",
            )
        }));
    }
    let lines = lines_of_code(&file.text);
    if !file.is_test && lines > MOST_LINES {
        let what = format!("{lines} lines of code, more than {MOST_LINES}: split the file");
        found.push(violation(1, &what));
    }
    found
}

fn holds_unsafe(path: &str) -> bool {
    path == "src/stack.rs" || path.starts_with("src/stack/") || path == "src/worker.rs"
}

fn lines_with_unsafe(tokens: &TokenStream) -> Vec<usize> {
    let mut found = Vec::new();
    for tree in tokens.clone() {
        match tree {
            TokenTree::Ident(word) if word == "unsafe" => found.push(word.span().start().line),
            TokenTree::Group(group) => found.extend(lines_with_unsafe(&group.stream())),
            _ => {}
        }
    }
    found
}

/// The lines outside of `#[cfg(test)]` items that read a clock.
fn readings_of_time(tokens: &TokenStream, found: &mut Vec<usize>) {
    let trees: Vec<_> = tokens.clone().into_iter().collect();
    let mut in_test = false;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Punct(hash) if hash.as_char() == '#' => {
                in_test |= matches!(trees.get(at + 1), Some(TokenTree::Group(attribute))
                    if attribute.delimiter() == Delimiter::Bracket && is_test_attribute(&attribute.stream()));
            }
            // The item under the attribute ends here.
            TokenTree::Punct(end) if end.as_char() == ';' => in_test = false,
            TokenTree::Group(group) => {
                if !in_test {
                    readings_of_time(&group.stream(), found);
                }
                in_test &= group.delimiter() != Delimiter::Brace;
            }
            TokenTree::Ident(clock)
                if !in_test && (clock == "Instant" || clock == "SystemTime") =>
            {
                if let Some(
                    [
                        TokenTree::Punct(a),
                        TokenTree::Punct(b),
                        TokenTree::Ident(function),
                    ],
                ) = trees.get(at + 1..at + 4)
                    && a.as_char() == ':'
                    && b.as_char() == ':'
                    && function == "now"
                {
                    found.push(clock.span().start().line);
                }
            }
            _ => {}
        }
    }
}

fn is_test_attribute(attribute: &TokenStream) -> bool {
    let trees: Vec<_> = attribute.clone().into_iter().collect();
    matches!(&trees[..], [TokenTree::Ident(cfg), TokenTree::Group(condition)]
        if cfg == "cfg" && says_test(&condition.stream()))
}

/// Lines that are neither blank nor comment, up to the unit tests at the bottom.
fn lines_of_code(text: &str) -> usize {
    let mut lines = text.lines().map(str::trim_end).peekable();
    let (mut count, mut in_comment) = (0, false);
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        if line == "#[cfg(test)]" && next.starts_with("mod ") {
            break;
        }
        let line = line.trim_start();
        if in_comment || line.starts_with("/*") {
            in_comment = !line.contains("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            count += 1;
        }
    }
    count
}
