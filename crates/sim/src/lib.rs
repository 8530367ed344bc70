//! Telegram on loopback: every data centre, middle proxies with the server that publishes them, clients for every
//! protocol of a proxy, a cover site. For tests, demonstrations and benches; a product of its own.
//!
//! Start [`telegram::Telegram`], point a proxy at its addresses, connect a client through it, and compare what the client
//! got with what the data centre's counters say.
//!
//! ```
//! use teleferry_sim::client::{Client, Options, Protocol};
//! use teleferry_sim::telegram::{self, Telegram};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let telegram = Telegram::start(&telegram::Options::default())?;
//! // Straight to a data centre; with a proxy in between it would be the proxy's address and secret.
//! let mut client = Client::connect(telegram.address(2), &Options::new(Protocol::Padded, None)).await?;
//! client.req_pq().await?;
//! client.echo(b"every byte comes back".to_vec()).await?;
//! assert_eq!(telegram.counters(2).read().echoed, 1);
//! # Ok(())
//! # }
//! ```
//!
//! Real client libraries work with it as well, when they trust [`Telegram::public_key_pem`](telegram::Telegram::public_key_pem).

pub mod client;
mod clock;
pub mod command;
pub mod config_server;
mod counters;
pub mod cover;
pub mod dc;
mod entropy;
pub mod limits;
mod listener;
pub mod middle;
mod mtproto;
pub mod pattern;
pub mod relay;
pub mod telegram;
