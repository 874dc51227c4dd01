//! The command line.

pub(crate) const USAGE: &str =
    "usage: peers [--load] [--quick] [--threads N [--beside-bare]] [--date DAY] [NAME…]";

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// A tenth of the rounds.
    pub(crate) is_quick: bool,
    /// Over sockets in place of all else.
    pub(crate) is_load: bool,
    /// What the tables are dated; the system's day when absent.
    pub(crate) date: Option<String>,
    /// The one row that this process measures: how the program calls itself.
    pub(crate) measure: Option<String>,
    /// On how many threads at once requests are served.
    pub(crate) threads: Option<u32>,
    /// Whether all threads but the measured one serve the bare router.
    pub(crate) is_beside_bare: bool,
    names: Vec<String>,
}

impl Arguments {
    pub(crate) fn parse(given: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut given = given;
        let mut arguments = Self::default();
        while let Some(argument) = given.next() {
            let mut value = || given.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--load" => arguments.is_load = true,
                "--beside-bare" => arguments.is_beside_bare = true,
                "--quick" => arguments.is_quick = true,
                "--date" => arguments.date = Some(value()?),
                "--threads" => {
                    let given = value()?;
                    let threads = given
                        .parse()
                        .ok()
                        .filter(|threads| (1..=64).contains(threads) && 1_000 % threads == 0);
                    arguments.threads = Some(threads.ok_or(format!(
                        "--threads is {given:?}, and takes a number up to 64 that divides 1,000"
                    ))?);
                }
                "--measure" => arguments.measure = Some(value()?),
                option if option.starts_with('-') => {
                    return Err(format!("unknown option '{option}'"));
                }
                name => arguments.names.push(name.to_owned()),
            }
        }
        if arguments.is_load && (arguments.threads.is_some() || !arguments.names.is_empty()) {
            return Err("--load takes no NAME and no --threads".to_owned());
        }
        Ok(arguments)
    }

    pub(crate) fn picks(&self, key: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| key.contains(name.as_str()))
    }
}
