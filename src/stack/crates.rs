//! Where the crates lie that the application names: where line tables are all there is, an inlined
//! function's name has no crate, and the folder of a package may be called anything (`/app`). What the
//! linker calls functions has the crate, so the files of some tell.

use super::{path, trace::crate_of};
use object::{Object as _, ObjectSymbol as _, SymbolKind, read::ReadCache};
use std::{ffi::c_void, fs::File};

/// Functions of each crate that are asked for their file.
const MOST_ASKED: usize = 64;

/// The packages of crates, as far as the program that runs has names and lines: name and folder of each.
/// `program_start` is where the program's file is mapped.
pub(super) fn packages_of(names: &[String], program_start: usize) -> Vec<(String, String)> {
    let read = || {
        let cache = ReadCache::new(File::open("/proc/self/exe").ok()?);
        let file = object::File::parse(&cache).ok()?;
        let mut asked = vec![0; names.len()];
        let mut found: Vec<(String, String)> = Vec::new();
        for symbol in file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text)
        {
            let Ok(name) = symbol.name_bytes() else {
                continue;
            };
            let of = names.iter().position(|named| is_of(name, named));
            let Some((at, named)) = of.and_then(|at| Some((at, names.get(at)?))) else {
                continue;
            };
            let Some(asked) = asked.get_mut(at).filter(|asked| **asked < MOST_ASKED) else {
                continue;
            };
            *asked += 1;
            let address = usize::try_from(symbol.address()).ok()?;
            let Some(folder) = folder_at(program_start.wrapping_add(address)) else {
                continue;
            };
            let package = (named.clone(), folder);
            if !found.contains(&package) {
                found.push(package);
            }
        }
        Some(found)
    };
    read().unwrap_or_default()
}

/// Whether the linker's name is that of a function of the crate; cheap for all others.
fn is_of(symbol: &[u8], named: &str) -> bool {
    let named = named.replace('-', "_");
    if !symbol
        .windows(named.len())
        .any(|part| part == named.as_bytes())
    {
        return false;
    }
    let name = format!("{:#}", backtrace::SymbolName::new(symbol));
    // An implementation may lie in another crate than its type, as may what is generic over it.
    !name.starts_with('<') && crate_of(&name) == Some(&*named)
}

/// The folder of the package that the function at an address is of.
fn folder_at(address: usize) -> Option<String> {
    let mut file = None;
    // One more, since that of a return address is asked for.
    backtrace::resolve(address.wrapping_add(1) as *mut c_void, |symbol| {
        file = symbol
            .filename()
            .map(|file| file.to_string_lossy().into_owned());
    });
    path::package_folder(&file?).map(str::to_owned)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::{super::modules::Modules, *};

    #[test]
    fn a_crate_of_this_program_lies_where_its_source_is_and_no_other_crate_anywhere() {
        let start = Modules::default().program_start().unwrap();
        let names = ["orderscope".to_owned(), "no-such-crate".to_owned()];
        let found = packages_of(&names, start);
        let here = (
            "orderscope".to_owned(),
            env!("CARGO_MANIFEST_DIR").to_owned(),
        );
        assert!(found.contains(&here), "{found:?}");
        assert!(
            found
                .iter()
                .all(|(name, folder)| *name == here.0 && folder.starts_with(&here.1))
        );
    }
}
