//! What a path from the root of the crate means: `lib.rs` declares rooms and re-exports from them,
//! and so does the corridor.

use std::collections::BTreeMap;

use syn::{Item, UseTree};

use super::contents::File;
use super::plan::{self, Room};

/// Chains of re-exports longer than this are cycles.
const DEEPEST: usize = 16;

/// Where the end of a path stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Room(Room),
    /// Defined in `lib.rs` itself.
    FrontDoor,
    /// In another crate, re-exported here.
    Elsewhere,
    Nowhere,
}

/// The modules of all files and what they name.
#[derive(Debug)]
pub(crate) struct FrontDoor {
    modules: BTreeMap<Vec<String>, Module>,
    /// `#[macro_export]` puts a macro at the root; the rooms that define them.
    macros: BTreeMap<String, Room>,
}

#[derive(Debug, Default)]
struct Module {
    names: BTreeMap<String, Named>,
    /// The modules declared as `mod name;`.
    files: Vec<String>,
    globs: Vec<Vec<String>>,
}

#[derive(Clone, Debug)]
enum Named {
    Module,
    /// `use path as name;`, the path as written; it begins with `::` where that does.
    Use(Vec<String>),
    Item,
}

impl FrontDoor {
    pub(crate) fn of(files: &[File]) -> Self {
        let mut door = Self {
            modules: BTreeMap::new(),
            macros: BTreeMap::new(),
        };
        for file in files {
            door.enter(plan::module_of_file(&file.path), &file.items);
        }
        door
    }

    /// Where a path from the root leads; `*` at its end is a glob.
    pub(crate) fn place(&self, path: &[String]) -> Place {
        self.walk(&[], path, 0)
    }

    fn enter(&mut self, at: Vec<String>, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(inner) => {
                    if let Some((_, items)) = &inner.content {
                        self.enter(extended(&at, &inner.ident.to_string()), items);
                    }
                }
                Item::Macro(rules) if rules.attrs.iter().any(is_macro_export) => {
                    let room = Room::of_module(&at);
                    self.macros
                        .extend(rules.ident.as_ref().map(ToString::to_string).zip(room));
                }
                _ => {}
            }
        }
        self.modules.insert(at, Module::of(items));
    }

    /// Where `path` leads from the module `at`, one that paths pass through.
    fn walk(&self, at: &[String], path: &[String], depth: usize) -> Place {
        let here = Room::of_module(at)
            .filter(|_| plan::is_corridor(at))
            .map_or(Place::FrontDoor, Place::Room);
        let (name, rest) = match path.split_first() {
            Some((name, rest)) if name != "*" => (name, rest),
            _ => return here,
        };
        if depth > DEEPEST {
            return Place::Nowhere;
        }
        let named = self
            .modules
            .get(at)
            .and_then(|module| module.names.get(name));
        match named {
            Some(Named::Module) => {
                let inner = extended(at, name);
                if self.is_passage(&inner) {
                    self.walk(&inner, rest, depth + 1)
                } else {
                    room_of(&[at, path].concat())
                }
            }
            // `pub use metrics;` where no such module is declared names another crate.
            Some(Named::Use(to)) if to[0] == *name => Place::Elsewhere,
            Some(Named::Use(to)) => self.written(at, &[to, rest].concat(), depth + 1),
            Some(Named::Item) => here,
            None => match self.behind_glob(at, name, depth) {
                Some(source) => self.walk_or_room(&source, path, depth + 1),
                None => {
                    let exported = self.macros.get(name).filter(|_| at.is_empty());
                    exported.cloned().map_or(Place::Nowhere, Place::Room)
                }
            },
        }
    }

    fn walk_or_room(&self, at: &[String], path: &[String], depth: usize) -> Place {
        if self.is_passage(at) {
            self.walk(at, path, depth)
        } else {
            room_of(&[at, path].concat())
        }
    }

    /// The root, modules that stand in `lib.rs`, and the corridor are no rooms themselves.
    fn is_passage(&self, module: &[String]) -> bool {
        let Some(first) = module.first() else {
            return true;
        };
        if plan::is_corridor(module) {
            return self.modules.contains_key(module);
        }
        // A module of `lib.rs` is known though no file has it; one with a file is a room.
        self.modules.contains_key(module) && !self.has_file(first)
    }

    fn has_file(&self, room: &str) -> bool {
        self.modules
            .get(&Vec::new())
            .is_none_or(|root| root.files.iter().any(|file| file == room))
    }

    /// A path as the module `at` writes it: from there, from the root, or from another crate.
    fn written(&self, at: &[String], path: &[String], depth: usize) -> Place {
        match self.absolute(at, path, depth) {
            Some((at, path)) => self.walk_or_room(&at, &path, depth),
            None => Place::Elsewhere,
        }
    }

    /// The module where a written path begins, and the rest of it; none in another crate.
    fn absolute(
        &self,
        at: &[String],
        path: &[String],
        depth: usize,
    ) -> Option<(Vec<String>, Vec<String>)> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "::" => None,
            "crate" => Some((Vec::new(), rest.to_vec())),
            "self" => Some((at.to_vec(), rest.to_vec())),
            "super" => {
                let (_, parent) = at.split_last()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(parent, rest, depth),
                    _ => Some((parent.to_vec(), rest.to_vec())),
                }
            }
            name if self.has(at, name, depth) => Some((at.to_vec(), path.to_vec())),
            _ => None,
        }
    }

    /// Whether a module names that, itself or by a glob.
    fn has(&self, at: &[String], name: &str, depth: usize) -> bool {
        let itself = self
            .modules
            .get(at)
            .is_some_and(|module| module.names.contains_key(name));
        itself || self.behind_glob(at, name, depth).is_some()
    }

    /// The module whose glob in `at` brings that name.
    fn behind_glob(&self, at: &[String], name: &str, depth: usize) -> Option<Vec<String>> {
        if depth > DEEPEST {
            return None;
        }
        let globs = &self.modules.get(at)?.globs;
        globs.iter().find_map(|glob| {
            // A glob that begins with a name begins with a module declared there.
            let (from, rest) = match glob.first() {
                Some(first) if self.modules.get(at)?.names.contains_key(first) => {
                    (at.to_vec(), glob.clone())
                }
                Some(first) if ["crate", "self", "super"].contains(&first.as_str()) => {
                    self.absolute(at, glob, depth + 1)?
                }
                _ => return None,
            };
            let source = [from, rest].concat();
            self.has(&source, name, depth + 1).then_some(source)
        })
    }
}

impl Module {
    fn of(items: &[Item]) -> Self {
        let mut module = Self::default();
        for item in items {
            match item {
                Item::Use(import) => {
                    let prefix = import.leading_colon.map(|_| "::".to_owned());
                    module.import(&import.tree, prefix.into_iter().collect());
                }
                Item::ExternCrate(other) => {
                    let name = other.rename.as_ref().map_or(&other.ident, |(_, name)| name);
                    let path = ["::".to_owned(), other.ident.to_string()];
                    module.name(name.to_string(), path.into());
                }
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    if inner.content.is_none() {
                        module.files.push(name.clone());
                    }
                    module.names.insert(name, Named::Module);
                }
                other => {
                    if let Some(name) = name_of(other) {
                        module.names.entry(name).or_insert(Named::Item);
                    }
                }
            }
        }
        module
    }

    fn import(&mut self, tree: &UseTree, mut prefix: Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.import(&path.tree, prefix);
            }
            UseTree::Name(name) if name.ident == "self" => {
                if let Some(last) = prefix.last().cloned() {
                    self.name(last, prefix);
                }
            }
            UseTree::Name(name) => {
                prefix.push(name.ident.to_string());
                self.name(name.ident.to_string(), prefix);
            }
            UseTree::Rename(rename) => {
                if rename.ident != "self" {
                    prefix.push(rename.ident.to_string());
                }
                self.name(rename.rename.to_string(), prefix);
            }
            UseTree::Glob(_) => self.globs.push(prefix),
            UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|tree| self.import(tree, prefix.clone()));
            }
        }
    }

    /// Where a module of that name is declared, the declaration stands.
    fn name(&mut self, name: String, path: Vec<String>) {
        self.names.entry(name).or_insert(Named::Use(path));
    }
}

fn room_of(path: &[String]) -> Place {
    let path = match path.split_last() {
        Some((last, rest)) if last == "*" => rest,
        _ => path,
    };
    Room::of_module(path).map_or(Place::FrontDoor, Place::Room)
}

fn extended(path: &[String], name: &str) -> Vec<String> {
    path.iter()
        .map(String::as_str)
        .chain([name])
        .map(str::to_owned)
        .collect()
}

fn is_macro_export(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("macro_export")
}

fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
