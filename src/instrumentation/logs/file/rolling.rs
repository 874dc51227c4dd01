//! The file of the day or the hour, by whatever the wall clock says now.

use super::LogFile;
use crate::clock::Clock;
use std::{
    error::Error as _,
    io::{self, Write},
    time::{Duration, SystemTime},
};
use tracing_appender::rolling::{RollingFileAppender, Rotation};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// A file that is begun anew when the day or the hour is another one.
///
/// The appender rolls by itself, but only forwards: once a clock has been ahead, all days are one
/// file until that day has come again, and before 1970 it never rolls.
#[derive(Debug)]
pub(super) struct Rolling {
    file: LogFile,
    clock: Clock,
    appender: RollingFileAppender,
    period: i64,
}

impl Rolling {
    pub(super) fn open(file: LogFile, clock: Clock) -> io::Result<Self> {
        let period = period(&file.rotation, clock.wall());
        Ok(Self {
            appender: appender(&file)?,
            file,
            clock,
            period,
        })
    }

    /// Begins another file when it is time. While that cannot be, lines go to the one before.
    pub(super) fn roll(&mut self) {
        let now = period(&self.file.rotation, self.clock.wall());
        if now != self.period
            && let Ok(next) = appender(&self.file)
        {
            self.appender = next;
            self.period = now;
        }
    }
}

impl Write for Rolling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.appender.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.appender.flush()
    }
}

fn appender(file: &LogFile) -> io::Result<RollingFileAppender> {
    let mut builder = RollingFileAppender::builder()
        .rotation(file.rotation.clone())
        .filename_prefix(&file.prefix)
        .filename_suffix("log");
    if file.rotation != Rotation::NEVER {
        builder = builder.max_log_files(file.kept);
    }
    builder.build(&file.directory).map_err(|error| {
        // Its own words, and those of the system beneath them.
        let cause = error.source();
        match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
            Some(system) => io::Error::new(system.kind(), system.to_string()),
            None => io::Error::other(error),
        }
    })
}

/// Which day or hour it is, counted from 1970.
fn period(rotation: &Rotation, wall: SystemTime) -> i64 {
    let length = match *rotation {
        Rotation::DAILY => DAY,
        Rotation::HOURLY => HOUR,
        _ => return 0,
    };
    let count = |seconds: u64| i64::try_from(seconds / length).unwrap_or(i64::MAX);
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => count(since.as_secs()),
        Err(before) => {
            let before = before.duration().saturating_sub(Duration::from_nanos(1));
            -1 - count(before.as_secs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::fs;

    #[test]
    fn a_period_has_its_length_before_1970_as_well() {
        let at = |seconds: i64| match seconds < 0 {
            true => SystemTime::UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()),
            false => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64),
        };
        for (seconds, hour) in [
            (-3_601, -2),
            (-3_600, -1),
            (-1, -1),
            (0, 0),
            (3_599, 0),
            (3_600, 1),
        ] {
            assert_eq!(period(&Rotation::HOURLY, at(seconds)), hour, "{seconds}");
        }
        let never = [-1, 0, 1 << 40].map(|seconds| period(&Rotation::NEVER, at(seconds)));
        assert_eq!(never, [0; 3]);
        assert_eq!(period(&Rotation::DAILY, at(86_400 * 20_000)), 20_000);
    }

    #[test]
    fn a_clock_that_goes_back_begins_a_file_as_one_that_goes_on_does() {
        let name = format!("orderscope-rolling-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let hands = ManualClock::starting_at(SystemTime::UNIX_EPOCH);
        let file = LogFile::hourly(&directory, "orders");
        let mut rolling = Rolling::open(file, hands.clock()).unwrap();
        let mut opened = 0;
        for wall in [0, HOUR - 1, 9 * HOUR, HOUR, HOUR + 1] {
            // As the appender reads the system's clock, the new file has the old one's name.
            for entry in fs::read_dir(&directory).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
            hands.set_wall(SystemTime::UNIX_EPOCH + Duration::from_secs(wall));
            rolling.roll();
            opened += fs::read_dir(&directory).unwrap().count();
        }
        assert_eq!(opened, 2);
        fs::remove_dir_all(directory).unwrap();
    }
}
