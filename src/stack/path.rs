//! Where source lies: of which package a file is, and whose package that is. A path is what the
//! compiler wrote down: another machine's, perhaps of another system, perhaps remapped
//! (`--remap-path-prefix`, cargo's `trim-paths`). So only what cargo and rustc themselves name says
//! anything, wherever it lies.

/// Folders of a package that hold source.
const OF_SOURCE: [&str; 4] = ["src", "tests", "examples", "benches"];

/// This very file, below the folder of our source.
const HERE: [&str; 2] = ["stack", "path.rs"];

/// Whether a file is neither the application's nor of a package that lies beside it: Rust's own, a
/// dependency's out of a registry, a git repository or a folder of vendored ones, or no Rust at all
/// (the C library may have its lines at hand where the program has not).
pub(super) fn is_foreign(file: &str) -> bool {
    let folders = Folders::of(file);
    !file.ends_with(".rs") || folders.are_rust_s() || folders.are_a_dependency_s()
}

/// Whether a file is the standard library's.
pub(crate) fn is_of_rust(file: &str) -> bool {
    // Asked where an error is captured, and taking a path apart takes memory.
    let may_be = file.contains("library") || file.starts_with("/rust/deps");
    may_be && Folders::of(file).are_rust_s()
}

/// Whether a file is of this crate, as far as its path tells: it does not where this crate is a
/// member of the workspace and the workspace is remapped.
pub(super) fn is_ours(file: &str) -> bool {
    is_beside(file, file!(), env!("CARGO_MANIFEST_DIR"))
}

/// Whether a file is below the folder of source that holds `here`, which the compiler may have been
/// given relative to the workspace.
fn is_beside(file: &str, here: &str, manifest: &str) -> bool {
    let (file, here) = (Folders::of(file), Folders::of(here));
    let source = here.0.strip_suffix(&HERE).unwrap_or_default();
    let is_below = |folders: &[&str]| file.0.starts_with(folders);
    let package = Folders::of(manifest).0;
    // `src` alone is anybody's.
    source.len() > 1 && is_below(source) || is_below(&[&package[..], &["src"]].concat())
}

/// Whether a file is of the crate of that name, `-` and `_` being one: its package's folder has the
/// name, or the test, example, bench or program that it belongs to.
pub(super) fn is_of_crate(file: &str, name: &str) -> bool {
    let as_identifier = |c| if c == '-' { '_' } else { c };
    let is_same = |other: &str| {
        let other = other.chars().map(as_identifier);
        name.chars().map(as_identifier).eq(other)
    };
    package(file).is_some_and(is_same) || target(file).is_some_and(is_same)
}

/// `tokio` of `/srv/cargo/registry/src/index-1949cf8c6b5b557f/tokio-1.48.0/src/lib.rs`.
pub(super) fn package(file: &str) -> Option<&str> {
    let folders = Folders::of(file);
    let folder = *folders.0.get(folders.source()?.checked_sub(1)?)?;
    Some(name_and_version(folder).map_or(folder, |(name, _)| name))
}

/// `/srv/orders` of `/srv/orders/src/pay.rs`; `None` of what is relative or foreign.
pub(super) fn package_folder(file: &str) -> Option<&str> {
    let folders = Folders::of(file);
    let above = folders.0.get(..folders.source()?)?;
    let length: usize = above.iter().map(|folder| folder.len() + 1).sum();
    let folder = file.get(..length.checked_sub(1)?)?;
    (!folder.is_empty() && !is_foreign(file)).then_some(folder)
}

/// Whether a file is of the package in that folder.
pub(super) fn is_in_package(file: &str, folder: &str) -> bool {
    package_folder(file) == Some(folder)
}

/// `storms` of `…/tests/storms.rs`, `…/examples/storms/main.rs` and `…/src/bin/storms.rs`.
fn target(file: &str) -> Option<&str> {
    let folders = Folders::of(file);
    let source = folders.source()?;
    let name = match folders.0.get(source..)? {
        ["src", "bin", name, ..] => name,
        ["src", ..] => return None,
        [_, name, ..] => name,
        _ => return None,
    };
    Some(name.strip_suffix(".rs").unwrap_or(name))
}

/// `src/pay.rs` of `/srv/build/orders/src/pay.rs` and of `C:\orders\src\pay.rs`: where a package lay
/// when it was built says nothing.
pub(super) fn in_package(file: &str) -> String {
    let folders = Folders::of(file);
    let last = folders.0.len().saturating_sub(1);
    let from = folders.source().unwrap_or(last);
    folders.0.get(from..).unwrap_or_default().join("/")
}

/// Whether a path ends in these folders and that file.
pub(super) fn ends_in(file: &str, folders: &[&str]) -> bool {
    Folders::of(file).0.ends_with(folders)
}

/// A path, in parts: the last is the file. The first of an absolute one is empty.
struct Folders<'a>(Vec<&'a str>);

impl<'a> Folders<'a> {
    fn of(file: &'a str) -> Self {
        Self(file.split(['/', '\\']).collect())
    }

    /// Where the innermost folder of source is; the file itself is none.
    fn source(&self) -> Option<usize> {
        let folders = self.0.split_last()?.1;
        folders
            .iter()
            .rposition(|folder| OF_SOURCE.contains(folder))
    }

    /// The standard library's, of rustup (`/rustc/<commit>/library`, or the version where it was built
    /// of no repository), with `rust-src` (`lib/rustlib/src/rust/library`), of distributions
    /// (`rustc-1.95.0-src/library`), and what it stands on itself (`/rust/deps`). No shorter form: an
    /// application may lie in `/srv/rust/library`.
    fn are_rust_s(&self) -> bool {
        const WITH_SOURCE: [&str; 5] = ["lib", "rustlib", "src", "rust", "library"];
        let is_library = |at: usize| {
            let (above, folder) = (self.at(at.wrapping_sub(2)), self.at(at.wrapping_sub(1)));
            let of_distribution = folder.strip_prefix("rustc-");
            above == "rustc" && (is_commit(folder) || is_version(folder))
                || of_distribution.is_some_and(is_version)
        };
        let is_unpacked = |at: usize| self.at(at) == "library" && is_library(at);
        (0..self.0.len()).any(is_unpacked)
            || self.0.windows(5).any(|folders| folders == WITH_SOURCE)
            || self.0.starts_with(&["", "rust", "deps"]) && self.is_package(3)
    }

    /// Cargo unpacks a registry's packages into `registry/src/<registry>-<hash>/<name>-<version>`, and
    /// git's into `git/checkouts/<name>-<hash>/<commit>`; trimmed, paths begin with the package.
    /// A version alone says nothing: an application may be built in such a folder.
    fn are_a_dependency_s(&self) -> bool {
        (0..self.0.len()).any(|at| {
            let is_registry = has_hash(self.at(at))
                || at >= 2 && self.at(at - 2) == "registry" && self.at(at - 1) == "src";
            let is_checkout = at >= 1 && self.at(at - 1) == "checkouts" && has_hash(self.at(at));
            let is_trimmed = at == 0 && self.is_package(0);
            (is_registry || self.is_of_a_system(at)) && self.is_package(at + 1)
                || is_checkout
                || is_trimmed
        }) || self.are_vendored()
    }

    /// Where others than cargo put packages, each in a folder with its version: Debian into
    /// `cargo/registry`, Bazel into `external`, Nix into a folder of vendored ones or into one of its
    /// store.
    fn is_of_a_system(&self, at: usize) -> bool {
        const OF_NIX: [&str; 3] = ["cargo-vendor-dir", "-vendor", "-vendor-cargo-deps"];
        let is_of_nix = |at: usize| OF_NIX.iter().any(|end| self.at(at).ends_with(end));
        let above = self.at(at.wrapping_sub(1));
        match self.at(at) {
            "registry" => above == "cargo",
            "external" => true,
            // `/nix/store/<hash>-crate-tokio-1.48.0`; an application lies in `<hash>-source`.
            "store" => above == "nix" && is_a_crate_of_nix(self.at(at + 1)),
            _ => is_of_nix(at) || at >= 1 && is_of_nix(at - 1),
        }
    }

    /// `vendor/<name>/src`, as `cargo vendor` lays packages down, flat and without versions.
    fn are_vendored(&self) -> bool {
        let folder = self.source().and_then(|source| source.checked_sub(2));
        folder.is_some_and(|folder| self.at(folder) == "vendor")
    }

    fn is_package(&self, at: usize) -> bool {
        name_and_version(self.at(at)).is_some()
    }

    /// Empty beyond the end.
    fn at(&self, at: usize) -> &'a str {
        self.0.get(at).copied().unwrap_or_default()
    }
}

/// `registry.example.com-1949cf8c6b5b557f`: as cargo tells apart what has one name.
fn has_hash(folder: &str) -> bool {
    let hash = folder.rsplit_once('-').map(|(_, hash)| hash);
    hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|c| c.is_ascii_hexdigit()))
}

fn is_commit(folder: &str) -> bool {
    folder.len() == 40 && folder.bytes().all(|c| c.is_ascii_hexdigit())
}

/// `1.95.0`, with or without what may follow, as in `1.95.0-src`.
fn is_version(folder: &str) -> bool {
    let numbers = folder.split(['-', '+']).next().unwrap_or_default();
    let is_number = |n: &str| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit());
    numbers.split('.').count() == 3 && numbers.split('.').all(is_number)
}

/// As the makers of packages for Nix call a crate's source.
fn is_a_crate_of_nix(item: &str) -> bool {
    let name = item.split_once('-').map_or("", |(_, name)| name);
    ["crate-", "cargo-package-"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// `sha-1` and `0.10.1` of `sha-1-0.10.1`.
fn name_and_version(folder: &str) -> Option<(&str, &str)> {
    let split = |(at, _): (usize, &str)| (&folder[..at], &folder[at + 1..]);
    let mut parts = folder.match_indices('-').map(split);
    parts.find(|(name, version)| !name.is_empty() && is_version(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = "registry/src/mirror.example.com-1949cf8c6b5b557f";

    #[test]
    fn what_cargo_and_rustc_unpacked_is_foreign_wherever_it_lies_and_whatever_it_is_called_now() {
        for foreign in [
            "/rustc/59807616e9b3e1c2b1d4a5b6c7d8e9f0a1b2c3d4/library/core/src/ptr/mod.rs",
            "/rustc/59807616e9b3e1c2b1d4a5b6c7d8e9f0a1b2c3d4\\library\\core\\src\\ptr\\mod.rs",
            "/opt/rust/lib/rustlib/src/rust/library/std/src/thread/mod.rs",
            "/usr/src/rustc-1.95.0/library/std/src/thread/mod.rs",
            "/build/rustc-1.95.0-src/library/alloc/src/vec/mod.rs",
            "/rust/deps/hashbrown-0.15.2/src/raw/mod.rs",
            "/srv/ci/.cargo/registry/src/mirror.example.com-1949cf8c6b5b557f/tokio-1.48.0/src/lib.rs",
            "/usr/local/cargo/registry/src/mirror.example.com-1949cf8c6b5b557f/sha-1-0.10.1/src/lib.rs",
            "C:\\ci\\.cargo\\registry\\src\\mirror.example.com-1949cf8c6b5b557f\\tokio-1.48.0\\src\\lib.rs",
            "/remapped/mirror.example.com-1949cf8c6b5b557f/tokio-1.48.0-rc.1/src/lib.rs",
            "/cargo/registry/src/mirror/tokio-1.48.0+build.7/src/lib.rs",
            "tokio-1.48.0/src/lib.rs",
            "/rustc/1.95.0/library/core/src/ptr/mod.rs",
            "/srv/orders/vendor/tokio/src/runtime/mod.rs",
            "/srv/orders/vendor/tokio-1.48.0/src/lib.rs",
            "C:\\orders\\vendor\\tokio\\src\\lib.rs",
            "/usr/share/cargo/registry/tokio-1.48.0/src/lib.rs",
            "/build/cargo-vendor-dir/tokio-1.48.0/src/lib.rs",
            "/build/orders-1.2.3-vendor/source-registry-0/tokio-1.48.0/src/lib.rs",
            "/nix/store/6xg259477c90a229xwmb53pdfkn6ig3g-vendor-cargo-deps/c19b7c6f/tokio-1.48.0/src/lib.rs",
            "/nix/store/6xg259477c90a229xwmb53pdfkn6ig3g-crate-tokio-1.48.0/src/lib.rs",
            "/nix/store/6xg259477c90a229xwmb53pdfkn6ig3g-cargo-package-tokio-1.48.0/src/lib.rs",
            "/proc/self/cwd/external/crates__tokio-1.48.0/src/lib.rs",
            "external/rules_rust++crate+crates__tokio-1.48.0/src/lib.rs",
            "/usr/local/cargo/git/checkouts/menus-0123456789abcdef/8f3a012/crates/menus/src/lib.rs",
            "./csu/../libc_start_call_main.h",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
        }
    }

    #[test]
    fn the_standard_library_is_known_with_either_separator_and_nothing_else_is_it() {
        const HASH: &str = "59807616e9b3e1c2b1d4a5b6c7d8e9f0a1b2c3d4";
        for (file, is_it) in [
            (
                format!("/rustc/{HASH}/library/core/src/ops/function.rs"),
                true,
            ),
            (
                format!("/rustc/{HASH}\\library\\core\\src\\ops\\function.rs"),
                true,
            ),
            (
                "C:\\rust\\lib\\rustlib\\src\\rust\\library\\core\\src\\ops\\function.rs"
                    .to_owned(),
                true,
            ),
            ("/srv/library/core/src/ops/function.rs".to_owned(), false),
            (format!("/cargo/{REGISTRY}/tokio-1.48.0/src/lib.rs"), false),
        ] {
            assert_eq!(is_of_rust(&file), is_it, "{file}");
        }
    }

    #[test]
    fn an_application_is_its_own_wherever_it_is_built() {
        for own in [
            "src/pay.rs",
            "/srv/orders/src/pay.rs",
            "/builds/orders-1.2.3/src/pay.rs",
            "/usr/src/app/src/main.rs",
            "/srv/library/core/src/lib.rs",
            "/srv/rustc/src/lib.rs",
            "/srv/registry/src/lib.rs",
            "/srv/checkouts/orders/src/lib.rs",
            "/srv/target/debug/build/orders-0123456789abcdef/out/codes.rs",
            "C:\\orders\\src\\pay.rs",
            "/srv/rust/library/src/pay.rs",
            "/home/ada/rust/library/orders/src/main.rs",
            "/srv/rustc/library/src/lib.rs",
            "/srv/rustc-tools/library/src/lib.rs",
            "/srv/rust/deps/orders/src/lib.rs",
            "/rust/deps/src/lib.rs",
            "/srv/vendor/src/lib.rs",
            "/srv/orders/src/vendor/pay.rs",
            "/srv/external/orders/src/lib.rs",
            "/nix/store/6xg259477c90a229xwmb53pdfkn6ig3g-source/src/main.rs",
        ] {
            assert!(!is_foreign(own), "{own}");
        }
    }

    #[test]
    fn a_file_is_told_by_its_place_within_its_package() {
        for (file, within) in [
            ("/srv/orders/src/pay.rs", "src/pay.rs"),
            ("src/pay.rs", "src/pay.rs"),
            ("C:\\orders\\src\\cards\\pay.rs", "src/cards/pay.rs"),
            ("/usr/src/app/examples/pay.rs", "examples/pay.rs"),
            ("/usr/src/orders/tests/it/pay.rs", "tests/it/pay.rs"),
            ("/srv/out/codes.rs", "codes.rs"),
            ("codes.rs", "codes.rs"),
            ("src", "src"),
            ("", ""),
        ] {
            assert_eq!(in_package(file), within, "{file}");
        }
    }

    #[test]
    fn a_package_is_told_by_its_folder_and_a_program_of_it_by_its_own_name() {
        let tokio = format!("/cargo/{REGISTRY}/tokio-1.48.0/src/lib.rs");
        for (file, name, is_of) in [
            ("/srv/payment-core/src/lib.rs", "payment_core", true),
            ("/srv/payment_core/src/cards/mod.rs", "payment-core", true),
            ("C:\\payment-core\\src\\lib.rs", "payment_core", true),
            (tokio.as_str(), "tokio", true),
            // A folder above the package, and one within it.
            ("/srv/orders/menus/src/lib.rs", "orders", false),
            ("/srv/menus/src/orders/mod.rs", "orders", false),
            ("/usr/src/app/src/main.rs", "src", false),
            ("/usr/src/app/src/main.rs", "app", true),
            ("/srv/menus/src/bin/orders.rs", "orders", true),
            ("/srv/menus/src/bin/orders/main.rs", "orders", true),
            ("/srv/menus/tests/it/groups.rs", "it", true),
            ("/srv/menus/benches/load.rs", "menus", true),
            ("src/lib.rs", "src", false),
            ("lib.rs", "lib", false),
        ] {
            assert_eq!(is_of_crate(file, name), is_of, "{name} of {file}");
        }
        assert_eq!(package(&tokio), Some("tokio"));
    }

    #[test]
    fn this_file_is_ours_and_an_application_s_is_not() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/", file!());
        assert!(is_ours(here));
        assert!(!is_ours("/srv/orders/src/stack/path.rs"));
    }

    #[test]
    fn a_file_of_ours_is_known_with_either_separator() {
        let windows = |file| is_beside(file, "src\\stack\\path.rs", "C:\\orderscope");
        assert!(windows("C:\\orderscope\\src\\errors.rs"));
        assert!(windows("C:\\orderscope/src\\errors.rs"));
        assert!(!windows("C:\\orders\\src\\errors.rs"));
        let of_a_workspace = |file| {
            is_beside(
                file,
                "crates/orderscope/src/stack/path.rs",
                "/srv/crates/orderscope",
            )
        };
        assert!(of_a_workspace("/srv/crates/orderscope/src/errors.rs"));
        assert!(of_a_workspace("crates/orderscope/src/errors.rs"));
        assert!(!of_a_workspace("/srv/crates/orders/src/errors.rs"));
    }
}
