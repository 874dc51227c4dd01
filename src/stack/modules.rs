//! Which executable or library an address lies in: what a stripped build can still say, and by what
//! the same build is found where its symbols are.

use object::{Object as _, read::ReadCache};
use std::{
    fmt::Write as _,
    fs::{self, File},
    path::Path,
};

/// How often the list is read: once, and again for libraries loaded since.
const READINGS: u8 = 8;
/// The running program, whatever is at its path by now.
const PROGRAM: &str = "/proc/self/exe";
/// How the system marks a mapped file that is no longer at its path.
const DELETED: &str = " (deleted)";

/// The mapped executables and libraries of the process.
#[derive(Default)]
pub(super) struct Modules {
    known: Vec<Module>,
    readings: u8,
}

struct Module {
    name: Box<str>,
    /// As the system has it, which says so where the file was deleted or replaced.
    path: Box<str>,
    start: usize,
    end: usize,
    build_id: BuildId,
}

#[derive(Default)]
enum BuildId {
    #[default]
    NotAskedFor,
    /// In hexadecimal; `None`: the linker gave none, or the file is not to be read, or another by now.
    Known(Option<Box<str>>),
}

impl Modules {
    /// `libc.so.6 + 0x2724a`, as `addr2line -e` takes it of a position-independent module. None
    /// where no module is mapped, and on systems other than Linux.
    pub(super) fn describe(&mut self, address: usize) -> Option<Box<str>> {
        loop {
            if let Some(module) = self.containing(address) {
                let offset = address - module.start;
                return Some(format!("{} + {offset:#x}", module.name).into());
            }
            if !cfg!(target_os = "linux") || self.readings == READINGS {
                return None;
            }
            self.readings += 1;
            self.known = parse(&fs::read_to_string("/proc/self/maps").ok()?);
        }
    }

    /// Where the program itself is mapped.
    pub(super) fn program_start(&mut self) -> Option<usize> {
        // Any address of it has the list read.
        self.describe(readable as fn(&str) -> Option<&Path> as usize)?;
        let is_program = |module: &&Module| readable(&module.path) == Some(Path::new(PROGRAM));
        self.known
            .iter()
            .find(is_program)
            .map(|module| module.start)
    }

    /// `libc.so.6 8f3a…`: the GNU build id of the module of that name.
    pub(super) fn identify(&mut self, name: &str) -> Option<String> {
        let mut known = self.known.iter_mut();
        let module = known.find(|module| &*module.name == name)?;
        if let BuildId::NotAskedFor = module.build_id {
            module.build_id = BuildId::Known(readable(&module.path).and_then(build_id));
        }
        match &module.build_id {
            BuildId::Known(Some(id)) => Some(format!("{name} {id}")),
            BuildId::Known(None) | BuildId::NotAskedFor => None,
        }
    }

    fn containing(&self, address: usize) -> Option<&Module> {
        self.known
            .iter()
            .find(|module| (module.start..module.end).contains(&address))
    }
}

/// The running program is read through its own link: by its path, a deployment may have put another
/// build. A library that was replaced is not to be read any more.
fn readable(path: &str) -> Option<&Path> {
    let program = fs::read_link(PROGRAM).ok();
    match program.is_some_and(|program| program == Path::new(path)) {
        true => Some(Path::new(PROGRAM)),
        false => Some(Path::new(path)).filter(|_| !path.ends_with(DELETED)),
    }
}

/// Reads no more of the file than its headers and that note.
fn build_id(path: &Path) -> Option<Box<str>> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let file = object::File::parse(&cache).ok()?;
    let id = file.build_id().ok()??;
    let mut text = String::with_capacity(2 * id.len());
    for byte in id {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text.into())
}

/// Mappings of one file follow one another; the first is where the file was loaded.
fn parse(maps: &str) -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    let mut last_path = "";
    for line in maps.lines() {
        let Some((start, end, path)) = mapping(line) else {
            continue;
        };
        match modules.last_mut() {
            Some(module) if path == last_path => module.end = end,
            _ => {
                let file = path.strip_suffix(DELETED).unwrap_or(path);
                modules.push(Module {
                    name: file.rsplit('/').next().unwrap_or(file).into(),
                    path: path.into(),
                    start,
                    end,
                    build_id: BuildId::default(),
                });
            }
        }
        last_path = path;
    }
    modules
}

/// `55d0c0a00000-55d0c0a21000 r--p 00000000 fe:01 1234    /usr/bin/orders`: memory without a file
/// is none of ours.
fn mapping(line: &str) -> Option<(usize, usize, &str)> {
    let path = &line[line.find('/')?..];
    let (start, rest) = line.split_once('-')?;
    let (end, _) = rest.split_once(' ')?;
    let hexadecimal = |digits| usize::from_str_radix(digits, 16).ok();
    Some((hexadecimal(start)?, hexadecimal(end)?, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
55d0c0a00000-55d0c0a21000 r--p 00000000 fe:01 1234                       /srv/my app/orders (deleted)
55d0c0a21000-55d0c0b00000 r-xp 00020000 fe:01 1234                       /srv/my app/orders (deleted)
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000028000 r--p 00000000 fe:01 99                         /lib/libc.so.6
7f0000028000-7f0000200000 r-xp 00028000 fe:01 99                         /lib/libc.so.6
7f0000300000-7f0000400000 rw-p 00000000 00:00 0 ";

    #[test]
    fn an_address_is_told_by_its_module_and_offset() {
        let mut modules = Modules {
            known: parse(MAPS),
            readings: READINGS,
        };
        let mut describe = |address| modules.describe(address);
        assert_eq!(
            describe(0x55d0c0a21010).as_deref(),
            Some("orders + 0x21010")
        );
        assert_eq!(
            describe(0x7f000002800f).as_deref(),
            Some("libc.so.6 + 0x2800f")
        );
        for nowhere in [0, 0x55d0c1000000, 0x7f0000300000, usize::MAX] {
            assert_eq!(describe(nowhere), None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_replaced_is_read_only_where_the_program_itself_is_meant() {
        let program = fs::read_link("/proc/self/exe").unwrap();
        let program = program.to_str().unwrap();
        assert_eq!(readable(program), Some(Path::new("/proc/self/exe")));
        assert_eq!(
            readable("/lib/libc.so.6"),
            Some(Path::new("/lib/libc.so.6"))
        );
        assert_eq!(readable("/lib/libc.so.6 (deleted)"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_test_lies_in_this_binary_and_address_zero_nowhere() {
        let mut modules = Modules::default();
        let here = modules.describe(parse as fn(&str) -> Vec<Module> as usize);
        assert!(
            here.as_deref()
                .is_some_and(|text| text.starts_with("orderscope-"))
        );
        for _ in 0..20 {
            assert_eq!(modules.describe(0), None);
        }
        let name = here.unwrap().split(" + ").next().unwrap().to_owned();
        let id = modules.identify(&name).unwrap();
        let (of, id) = id.split_once(' ').unwrap();
        assert_eq!(of, name);
        assert!(
            id.len() >= 16 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{id}"
        );
        assert_eq!(modules.identify("no such module"), None);
    }
}
