//! Several processes of the platform that have a database and a Redis in common, as the one sees them
//! that starts and ends them.

use std::{
    env,
    error::Error,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::{
    arguments::Arguments,
    database::Database,
    deadline::Deadline,
    together::{Ended, Together},
};

/// The processes while they serve. Those that are not [ended](Self::end) are killed.
pub(crate) struct Replicas {
    replicas: Vec<Replica>,
    /// After the processes, which have it open.
    _folder: Folder,
}

/// One process: it serves until its standard input closes, and writes its address and then its summary
/// on its standard output.
struct Replica {
    process: Child,
    /// Closes with this process, however it ends: no replica is left behind.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

/// A folder of this run alone, removed when it drops.
struct Folder(PathBuf);

impl Replicas {
    pub(crate) async fn start(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let name = format!("food_delivery-{}", arguments.run);
        let folder = Folder::new(env::temp_dir().join(name))?;
        let database = folder.0.join("database.sqlite");
        Database::create(&database).await?;
        let mut replicas = Vec::new();
        // One after the other, so that what is wrong for all of them is told once.
        for number in 1..=arguments.replicas {
            let starting = Replica::start(command(arguments, &database, number)?);
            let started = match timeout(STARTING_GRACE, starting).await {
                Ok(started) => started,
                Err(_) => Err(format!("it does not serve after {STARTING_GRACE:?}").into()),
            };
            let told = |error| format!("replica {number} did not start: {error}");
            replicas.push(started.map_err(told)?);
        }
        Ok(Self {
            replicas,
            _folder: folder,
        })
    }

    pub(crate) fn addresses(&self) -> Arc<[SocketAddr]> {
        let addresses = self.replicas.iter().map(|replica| replica.address);
        addresses.collect()
    }

    /// Ends all of them at once: one that went on alone would take over what the others look after, and
    /// open attempts would be counted by two.
    pub(crate) async fn end(self) -> Result<Together, Box<dyn Error>> {
        let ended = join_all(self.replicas.into_iter().map(Replica::end)).await;
        let named = (1..).zip(ended).map(|(number, ended)| {
            ended.map_err(|error| format!("replica {number} did not end well: {error}"))
        });
        Ok(Together::of(named.collect::<Result<_, _>>()?))
    }
}

impl Replica {
    async fn start(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut process = command.spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err("it has no standard input or output".into());
        };
        let mut output = BufReader::new(output);
        let mut address = String::new();
        if output.read_line(&mut address).await? == 0 {
            return Err(process.wait().await?.to_string().into());
        }
        Ok(Self {
            process,
            input,
            output,
            address: address.trim_end().parse()?,
        })
    }

    async fn end(mut self) -> Result<Ended, Box<dyn Error>> {
        drop(self.input);
        let mut said = String::new();
        let ending = async {
            self.output.read_to_string(&mut said).await?;
            self.process.wait().await
        };
        let status = match timeout(ENDING_GRACE, ending).await {
            Ok(status) => status?,
            Err(_) => {
                self.process.kill().await?;
                return Err(format!("it was killed after {ENDING_GRACE:?}").into());
            }
        };
        // A run that does not balance has a summary all the same.
        let summary: Value =
            serde_json::from_str(&said).map_err(|error| format!("{status}: {error}"))?;
        Ok(Ended::new(summary, status.success())?)
    }
}

/// This program, as one of the replicas.
fn command(arguments: &Arguments, database: &Path, number: u8) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .args(["--listen", "127.0.0.1:0", "--rate", "0", "--summary", "-"])
        .arg("--replica")
        .arg(database)
        .args(["--run", &arguments.run])
        .args(["--log-format", arguments.log_format.as_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    if let Some(redis) = &arguments.redis {
        command.args(["--redis", redis]);
    }
    if number == 1 {
        command.arg("--kitchen");
    }
    // Ctrl-C is for the one that ends the others, once their visitors have left.
    #[cfg(unix)]
    command.process_group(0);
    Ok(command)
}

/// Passes when the standard input of a replica closes; of any other process, never.
pub(crate) fn parent_gone(arguments: &Arguments) -> Deadline {
    let gone = Deadline::new();
    if arguments.replica.is_some() {
        let gone = gone.clone();
        // Not a task of the runtime, which would wait for it at its end.
        thread::spawn(move || {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            gone.pass();
        });
    }
    gone
}

impl Folder {
    fn new(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("food_delivery: {} stays: {error}", self.0.display());
        }
    }
}

/// How long a replica may take to serve.
const STARTING_GRACE: Duration = Duration::from_secs(20);

/// How long a replica may take to end: all that it waits for has a grace of its own.
const ENDING_GRACE: Duration = Duration::from_secs(25);
