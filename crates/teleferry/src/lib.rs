//! The server: everything that touches a socket, a clock or a file.

pub mod admin;
mod backend;
pub mod cli;
mod client;
pub mod clock;
pub mod config;
pub mod control;
mod cover;
pub mod demo;
pub mod doctor;
mod entropy;
pub mod gate;
mod import;
mod links;
mod listen;
pub mod logging;
mod net;
pub mod observe;
pub mod ping;
pub mod process;
pub mod reading;
pub mod server;
mod shard;
pub mod state;
mod sys;
pub mod telegram;
pub mod upgrade;
