//! Which log lines are told.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;

/// The parts of the program that can have a level of their own.
pub(super) const ROOMS: [&str; 23] = [
    "admin", "announce", "back", "backend", "cli", "client", "config", "control", "cover", "demo", "doctor",
    "gate", "identity", "listen", "net", "process", "server", "shard", "sys", "telegram", "trunk", "upgrade",
    "watchdog",
];

/// The names of the levels, the quietest first.
pub(super) const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// The least severe level that is told, in all and for parts of the program: `info,backend=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    /// What holds where nothing else is said.
    pub default: LevelFilter,
    /// Rooms, or modules in them, with their own.
    pub rooms: Vec<(String, LevelFilter)>,
}

/// What is wrong with the levels that somebody wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LevelsError {
    /// No such level.
    Level(String),
    /// No such part of the program.
    Room(String),
}

impl Levels {
    /// One level for everything.
    #[must_use]
    pub const fn all(default: LevelFilter) -> Self {
        Self { default, rooms: Vec::new() }
    }
}

impl FromStr for Levels {
    type Err = LevelsError;

    fn from_str(text: &str) -> Result<Self, LevelsError> {
        let mut levels = Self::all(LevelFilter::INFO);
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None => levels.default = level(part)?,
                Some((room, of_room)) => {
                    levels.rooms.push((known_room(room.trim())?, level(of_room.trim())?))
                }
            }
        }
        Ok(levels)
    }
}

fn level(text: &str) -> Result<LevelFilter, LevelsError> {
    let found = LEVELS.iter().find(|(name, _)| *name == text);
    found.map(|(_, level)| *level).ok_or_else(|| LevelsError::Level(text.to_owned()))
}

/// A room may be followed by modules in it (`backend::middle`).
fn known_room(text: &str) -> Result<String, LevelsError> {
    let first = text.split("::").next().unwrap_or_default();
    if ROOMS.contains(&first) { Ok(text.to_owned()) } else { Err(LevelsError::Room(text.to_owned())) }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        self.rooms.iter().try_for_each(|(room, level)| write!(f, ",{room}={level}"))
    }
}

impl fmt::Display for LevelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(text) => {
                let names = LEVELS.map(|(name, _)| name).join(", ");
                write!(f, "\"{text}\" is not one of {names}")
            }
            Self::Room(text) => {
                write!(f, "there is no part \"{text}\" of this program: the parts are {}", ROOMS.join(", "))
            }
        }
    }
}

impl std::error::Error for LevelsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_written() {
        for text in ["info", "off", "warn,backend=debug,client::door=trace"] {
            assert_eq!(text.parse::<Levels>().map(|levels| levels.to_string()), Ok(text.to_owned()));
        }
        let spaced: Levels = " debug , cover = off ".parse().expect("levels");
        assert_eq!(spaced.to_string(), "debug,cover=off");
        let only_rooms: Levels = "gate=debug".parse().expect("levels");
        assert_eq!(only_rooms.default, LevelFilter::INFO);
    }

    #[test]
    fn what_is_no_level_is_told() {
        assert_eq!("loud".parse::<Levels>(), Err(LevelsError::Level("loud".to_owned())));
        assert_eq!("info,".parse::<Levels>(), Err(LevelsError::Level(String::new())));
        assert_eq!("kitchen=info".parse::<Levels>(), Err(LevelsError::Room("kitchen".to_owned())));
        assert!("kitchen=info".parse::<Levels>().expect_err("no room").to_string().contains("backend, cli"));
    }

    #[test]
    fn every_module_of_the_program_is_a_room() {
        let source = include_str!("../lib.rs");
        let modules = source.lines().filter_map(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        // These have nothing to say.
        let silent =
            ["clock", "entropy", "import", "links", "logging", "observe", "ping", "reading", "state"];
        for module in modules.filter(|module| !silent.contains(module)) {
            assert!(ROOMS.contains(&module), "{module}");
        }
    }
}
