//! Where the real programs stand that the tests run. One that is absent fails its test.

use std::env;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Python of the tests' virtual environment.
pub(crate) fn python() -> PathBuf {
    let of_venv = repository().join("target/venv/bin/python");
    located("ORDERSCOPE_PYTHON", [of_venv])
}

/// The real Prometheus.
pub(crate) fn prometheus() -> PathBuf {
    located("PROMETHEUS", installed_or_unpacked("prometheus"))
}

/// Its tool, which lints metrics and tests rules.
pub(crate) fn promtool() -> PathBuf {
    located("PROMTOOL", installed_or_unpacked("promtool"))
}

/// A receiver of OTLP, which lies within its Python package.
pub(crate) fn rotel() -> PathBuf {
    let say = "import os, rotel; print(os.path.dirname(rotel.__file__), end='')";
    let output = Command::new(python()).args(["-I", "-c", say]).output();
    let folder = String::from_utf8(output.expect("Python starts").stdout).unwrap();
    located("ROTEL", [Path::new(&folder).join("rotel-agent")])
}

/// The OpenTelemetry Collector.
pub(crate) fn otelcol() -> PathBuf {
    named_by("OTELCOL")
}

/// A store of metrics that takes OTLP.
pub(crate) fn victoria_metrics() -> PathBuf {
    named_by("VICTORIA_METRICS")
}

/// A store of logs that takes OTLP.
pub(crate) fn victoria_logs() -> PathBuf {
    named_by("VICTORIA_LOGS")
}

/// Counts instructions.
pub(crate) fn valgrind() -> PathBuf {
    located("VALGRIND", on_the_path("valgrind"))
}

/// A program of PostgreSQL: its folder is none of the `PATH`.
pub(crate) fn postgres(program: &str) -> PathBuf {
    let named = env::var_os("POSTGRES_BIN").map(PathBuf::from);
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let installed = versions.flatten().map(|version| version.path().join("bin"));
    let mut programs = named
        .into_iter()
        .chain(installed)
        .map(|folder| folder.join(program));
    programs
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!("{program} of PostgreSQL is absent: run `bash tests/run`, which installs it")
        })
}

/// A server that speaks MySQL's protocol; where Debian puts it need not be on the `PATH`.
pub(crate) fn mariadb() -> PathBuf {
    let installed = on_the_path("mariadbd");
    let beside = iter::once(PathBuf::from("/usr/sbin/mariadbd"));
    located("MARIADBD", installed.into_iter().chain(beside))
}

/// A build of the programs with bugs.
pub(crate) fn bugs(build: &str) -> PathBuf {
    let of_run = repository().join("target/host/bugs");
    let folder = env::var_os("ORDERSCOPE_BUGS").map_or(of_run, PathBuf::from);
    let program = folder.join(build);
    let advice = "run `bash tests/run`, which builds it";
    assert!(
        program.is_file(),
        "{} is absent: {advice}",
        program.display()
    );
    program
}

/// An example, as `cargo test` builds it beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let tests = env::current_exe().expect("a test has a path");
    let built = tests.ancestors().nth(2).expect("in a folder of a profile");
    let example = built.join("examples").join(name);
    let advice = "run `cargo test` without `--test`, or `cargo build --examples`";
    assert!(
        example.is_file(),
        "{} is absent: {advice}",
        example.display()
    );
    example
}

/// The top of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that no registry has.
fn named_by(variable: &str) -> PathBuf {
    assert!(
        env::var_os(variable).is_some_and(|named| !named.is_empty()),
        "{variable} is not set: it names a program that these tests run"
    );
    located(variable, [])
}

fn installed_or_unpacked(program: &str) -> Vec<PathBuf> {
    let unpacked = repository().join("target/tools/prometheus/usr/bin");
    let mut candidates = on_the_path(program);
    candidates.push(unpacked.join(program));
    candidates
}

fn on_the_path(program: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .collect()
}

fn located(variable: &str, candidates: impl IntoIterator<Item = PathBuf>) -> PathBuf {
    if let Some(given) = env::var_os(variable).filter(|given| !given.is_empty()) {
        let given = PathBuf::from(given);
        assert!(
            given.is_file(),
            "{variable} names {}, which is no file",
            given.display()
        );
        return given;
    }
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!("the program of {variable} is absent: run `bash tests/run`, which installs it")
        })
}
