//! From addresses to functions, files and lines: on the worker, with a bounded memory.

use super::{InApp, crates::packages_of, modules::Modules};
use rustc_hash::FxHashMap;
use std::{
    ffi::c_void,
    fmt::Write,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// Addresses remembered: about 4 MB when full. Errors come from few call sites, so a full memory
/// is a sign of code that comes and goes (a plug-in, a JIT). It is then emptied, which costs each
/// live address one warm look-up; a least-recently-used order would cost each hit.
const REMEMBERED: usize = 16_384;

/// The longest name of a function, in bytes. Generic services nest to names of many kilobytes,
/// whose outer types say enough.
const NAME_LIMIT: usize = 512;
/// Angle brackets within others that are kept in a longer name, where there is room.
const KEPT_DEPTH: usize = 4;

/// One function at one address; an address within inlined functions has several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Demangled, without the trailing hash; `module + 0xoffset` where no symbol is known.
    pub(crate) function: Option<Box<str>>,
    pub(crate) file: Option<Box<str>>,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    /// `orders + 0x2a14`, where no line is known: what finds it where the symbols are.
    pub(crate) module: Option<Box<str>>,
    /// Whether this is the application's own code, as far as can be told.
    pub(crate) in_app: bool,
}

/// Resolves addresses, and remembers what it resolved.
///
/// The first address costs about 100 ms (the executable's symbols are parsed into a cache of the
/// process), an address not seen before some 10 µs, one seen before a look-up.
#[derive(Default)]
pub(crate) struct Resolver {
    remembered: FxHashMap<usize, Arc<[Frame]>>,
    modules: Modules,
    in_app: InApp,
    has_looked_for_packages: bool,
    /// A panic of somebody's callback under the `backtrace` crate's lock poisons it for good, and
    /// each resolve after it panics.
    broken: bool,
}

impl Resolver {
    pub(crate) fn new(in_app: InApp) -> Self {
        Self {
            in_app,
            ..Self::default()
        }
    }

    /// The functions at a return address, innermost (inlined) first; never none.
    pub(crate) fn resolve(&mut self, ip: usize) -> Arc<[Frame]> {
        if let Some(known) = self.remembered.get(&ip) {
            return Arc::clone(known);
        }
        let frames: Arc<[Frame]> = self.look_up(ip).into();
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(ip, Arc::clone(&frames));
        frames
    }

    /// All frames of a stack, in order.
    pub(crate) fn resolve_all(&mut self, ips: &[usize]) -> Vec<Frame> {
        let resolved = ips.iter().map(|ip| self.resolve(*ip));
        resolved.flat_map(|frames| frames.to_vec()).collect()
    }

    /// The build ids of the modules that frames are told by, each once: `orders 8f3a…`.
    pub(crate) fn modules_of(&mut self, frames: &[Frame]) -> Vec<String> {
        let modules = frames.iter().filter_map(|frame| frame.module.as_deref());
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in modules.filter_map(|module| module.split_once(" + ")) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
            .into_iter()
            .filter_map(|name| self.modules.identify(name))
            .collect()
    }

    /// Once, before the first look-up: it reads the names of the whole program.
    fn look_for_packages(&mut self) {
        let names = [&self.in_app.include[..], &self.in_app.exclude].concat();
        if mem::replace(&mut self.has_looked_for_packages, true) || names.is_empty() {
            return;
        }
        if let Some(start) = self.modules.program_start() {
            let found = catch_unwind(AssertUnwindSafe(|| packages_of(&names, start)));
            self.broken |= found.is_err();
            self.in_app.packages = found.unwrap_or_default();
        }
    }

    fn look_up(&mut self, ip: usize) -> Vec<Frame> {
        self.look_for_packages();
        let mut frames = Vec::new();
        if !self.broken {
            // Takes the lock, since the parsed symbols are one cache of the process; subtracts one
            // itself, from a return address to the call before it.
            let resolved = catch_unwind(AssertUnwindSafe(|| {
                let in_app = &self.in_app;
                backtrace::resolve(ip as *mut c_void, |symbol| {
                    frames.push(frame(symbol, in_app))
                });
            }));
            self.broken = resolved.is_err();
        }
        if frames.is_empty() {
            frames.push(Frame::default());
        }
        for frame in frames.iter_mut().filter(|frame| frame.line.is_none()) {
            frame.module = self.modules.describe(ip.wrapping_sub(1));
            if frame.function.is_none() {
                frame.function.clone_from(&frame.module);
            }
        }
        frames
    }
}

fn frame(symbol: &backtrace::Symbol, in_app: &InApp) -> Frame {
    let function = symbol.name().map(|name| {
        let mut text = String::new();
        // The alternate form leaves out the hash. An unprintable name is printed as far as it goes.
        let _ = write!(text, "{name:#}");
        shortened(text)
    });
    let file = symbol.filename().map(|path| path.to_string_lossy().into());
    Frame {
        in_app: in_app.has(function.as_deref(), file.as_deref()),
        function,
        file,
        line: symbol.lineno(),
        column: symbol.colno(),
        module: None,
    }
}

/// Leaves out generic arguments, the innermost first, and then the middle: the beginning names the
/// crate, the end the method.
fn shortened(name: String) -> Box<str> {
    if name.len() <= NAME_LIMIT {
        return name.into();
    }
    let mut shallower = (1..=KEPT_DEPTH)
        .rev()
        .map(|depth| without_depth(&name, depth));
    if let Some(fits) = shallower.find(|name| name.len() <= NAME_LIMIT) {
        return fits.into();
    }
    let at_or_below = |mut at: usize| {
        while !name.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let head = at_or_below(NAME_LIMIT * 2 / 3);
    let tail = at_or_below(name.len() - NAME_LIMIT / 3);
    format!("{}…{}", &name[..head], &name[tail..]).into()
}

/// `<…>` in place of what stands in angle brackets within so many others.
fn without_depth(name: &str, most: usize) -> String {
    let (mut shown, mut depth, mut before) = (String::with_capacity(name.len()), 0_usize, ' ');
    for c in name.chars() {
        let closes = c == '>' && before != '-';
        if closes {
            depth = depth.saturating_sub(1);
        }
        if depth <= most {
            shown.push(c);
        }
        if c == '<' {
            depth += 1;
            if depth == most + 1 {
                shown.push('…');
            }
        }
        before = c;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{super::capture, *};

    #[test]
    #[cfg(target_os = "linux")]
    fn a_short_name_is_of_a_named_crate_wherever_that_lies() {
        let mut resolver = Resolver::new(InApp {
            include: vec!["orderscope".to_owned()],
            ..InApp::default()
        });
        resolver.resolve(1);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stack/path.rs");
        assert!(resolver.in_app.has(Some("is_foreign"), Some(file)));
        let other = "/cargo/registry/src/mirror-1949cf8c6b5b557f/menus-1.2.3/src/lib.rs";
        assert!(!resolver.in_app.has(Some("is_foreign"), Some(other)));
    }

    #[test]
    fn the_frames_of_a_known_function_name_this_file_and_line() {
        #[inline(never)]
        fn known_function() -> (super::super::RawStack, u32) {
            (capture(), line!())
        }
        let (stack, line) = known_function();
        let frames = Resolver::default().resolve_all(stack.frames());
        let known = frames.iter().find(|frame| {
            let name = frame.function.as_deref();
            name.is_some_and(|name| name.ends_with("::known_function"))
        });
        let known = known.expect("the function is on the stack");
        assert_eq!(known.line, Some(line));
        assert!(known.column.is_some_and(|column| column > 1));
        assert!(
            known
                .file
                .as_deref()
                .is_some_and(|file| file.ends_with(file!()))
        );
    }

    #[test]
    fn an_inlined_function_is_a_frame_of_its_own() {
        #[inline(always)]
        fn inlined() -> super::super::RawStack {
            capture()
        }
        let stack = inlined();
        let mut resolver = Resolver::default();
        let several = |ip: &usize| resolver.resolve(*ip).len() > 1;
        assert!(stack.frames().iter().any(several));
    }

    #[test]
    fn an_address_without_a_symbol_is_told_by_its_module_or_not_at_all() {
        let nowhere = Resolver::default().resolve(1);
        assert_eq!(nowhere.to_vec(), [Frame::default()]);
    }

    #[test]
    fn what_was_resolved_is_remembered_up_to_a_bound() {
        let mut resolver = Resolver::default();
        let ip = capture().frames()[0];
        assert!(Arc::ptr_eq(&resolver.resolve(ip), &resolver.resolve(ip)));
        resolver.broken = true; // To be quick.
        for ip in 1..=2 * REMEMBERED {
            resolver.resolve(ip);
            assert!(resolver.remembered.len() <= REMEMBERED);
        }
    }

    #[test]
    fn a_long_name_loses_its_generic_arguments_first_the_innermost_before_the_others() {
        let layers = "tower::Layered<tower::Timeout, fn(u8) -> u8, ".repeat(20) + &">".repeat(20);
        let name = format!("<hyper::Service<{layers}> as orders::Pay<u8>>::call::<u16>");
        let layer = "tower::Layered<tower::Timeout, fn(u8) -> u8, ";
        assert_eq!(
            &*shortened(name),
            format!(
                "<hyper::Service<{layer}{layer}tower::Layered<…>>>> as orders::Pay<u8>>::call::<u16>"
            )
        );
        assert_eq!(&*shortened("short<u8>".to_owned()), "short<u8>");
    }

    #[test]
    fn a_name_that_is_long_without_them_keeps_its_ends() {
        let name = format!("<axum::{} as Service>::call", "é".repeat(3_000));
        let short = shortened(name);
        assert!(short.len() <= NAME_LIMIT + "…".len() + 1, "{}", short.len());
        assert!(short.starts_with("<axum::") && short.ends_with(" as Service>::call"));
    }

    #[test]
    fn a_resolver_lives_on_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<Resolver>();
    }
}
