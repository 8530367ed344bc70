//! Who comes to the proxy, and what they do there.

use std::time::Duration;

use teleferry_sim::client::{Client, ClientError, Opening, Options, Protocol};
use teleferry_sim::command::{Command, Send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use super::stage::{Door, PAGE, QUESTION, SOUND, TROUBLED};
use crate::clock;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Some messages, some of them large.
    Talk,
    /// A file.
    Download,
    /// Ends its direction and waits for the answers.
    HalfClose,
    /// Does not read for a while, then does or leaves.
    Stall,
    /// Sends without reading until nothing is taken any more, and resets.
    Flood,
    /// Resets in the middle of an answer.
    Reset,
    /// Has the data centre end the connection.
    Dismissed,
    /// Begins a handshake and leaves.
    Cut,
    /// Random bytes.
    Garbage,
    /// A frame that no client may send.
    Illegal,
    /// Wants to see the site.
    Stranger,
    /// Is there from the beginning to the end; see [`steady`](super::steady).
    Stay,
}

impl Role {
    pub(super) const ALL: [Self; 11] = [
        Self::Talk,
        Self::Download,
        Self::HalfClose,
        Self::Stall,
        Self::Flood,
        Self::Reset,
        Self::Dismissed,
        Self::Cut,
        Self::Garbage,
        Self::Illegal,
        Self::Stranger,
    ];

    /// Those that do not depend on an answer which may go with a link.
    pub(super) const OVER_MIDDLE: [Self; 7] =
        [Self::Flood, Self::Reset, Self::Dismissed, Self::Cut, Self::Garbage, Self::Illegal, Self::Stranger];
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As it must.
    Well,
    /// Cut off by a data centre that was in trouble, or its answer went with a link.
    CutOff,
    /// As it must not.
    Fault(String),
}

/// How long anybody may need.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays a role to its end.
pub(super) async fn play(role: Role, door: Door, mut dice: Dice) -> (Role, Outcome) {
    let troubled = door.rotations.is_none() && dice.percent(15);
    let dc = if troubled { TROUBLED } else { dice.pick(&SOUND) };
    let options = Options::new(dice.pick(&Protocol::ALL), Some(door.key.clone())).with_dc(dc);
    let begun = clock::now();
    let outcome = match timeout(PATIENCE, act(role, &door, &options, dice)).await {
        Ok(Ok(())) => Outcome::Well,
        // A data centre in trouble may end or forget a connection; a wrong byte is wrong with any.
        Ok(Err(ClientError::Io(_) | ClientError::Ended)) | Err(_) if troubled => Outcome::CutOff,
        // It waited for an answer that went with a link, and being no real app it does not ask again, until the proxy gives
        // Telegram up. Those who stay show that nobody who does is closed.
        Ok(Err(ClientError::Ended)) | Err(_) if door.may_have_taken(begun) => Outcome::CutOff,
        Ok(Err(error)) => Outcome::Fault(format!("{:?} of DC {dc}: {error}", options.protocol)),
        Err(_) => Outcome::Fault(format!("{:?} of DC {dc}: no end in sight", options.protocol)),
    };
    (role, outcome)
}

async fn act(role: Role, door: &Door, options: &Options, mut dice: Dice) -> Result<(), ClientError> {
    match role {
        Role::Cut => return cut(door, options, &mut dice).await,
        Role::Garbage => return garbage(door, &mut dice).await,
        Role::Stranger => return stranger(door).await,
        _ => {}
    }
    let mut client = Client::dial(door.address, options).await?;
    client.echo(dice.bytes(0, 500)).await?;
    match role {
        Role::Talk => talk(client, dice).await,
        Role::Download => client.download(file(&mut dice)).await,
        Role::HalfClose => half_close(client, &mut dice).await,
        Role::Stall => stall(client, &mut dice).await,
        Role::Flood => flood(client, door, &mut dice).await,
        Role::Reset => {
            client.command(&Command::Send(file(&mut dice))).await?;
            client.recv().await?;
            client.reset()
        }
        Role::Dismissed => {
            let command = dice.pick(&[0, 1, 2]);
            let command = [Command::Close, Command::Reset, Command::HalfClose][command].clone();
            client.command(&command).await?;
            ended(client).await
        }
        Role::Illegal => {
            // A length that no frame may have, whatever the framing.
            let wire = client.sender.encode_stream(&[0x7f, 0xff, 0xff, 0x7f]);
            client.sender.send_raw(&wire).await?;
            ended(client).await
        }
        Role::Cut | Role::Garbage | Role::Stranger | Role::Stay => Ok(()),
    }
}

async fn talk(mut client: Client, mut dice: Dice) -> Result<(), ClientError> {
    for _ in 0..dice.below(30) {
        let most = if dice.percent(10) { 900_000 } else { 3000 };
        client.echo(dice.bytes(0, most)).await?;
        sleep(Duration::from_millis(dice.below(50))).await;
    }
    Ok(())
}

/// Packets of one length, 4 MiB at most in all.
const fn file(dice: &mut Dice) -> Send {
    let size = 60 + dice.below(1 << 17) as u32;
    Send { count: 1 + dice.below((1 << 22) / size as u64 / 4) as u32, size, seed: dice.next() }
}

async fn half_close(mut client: Client, dice: &mut Dice) -> Result<(), ClientError> {
    let send = file(dice);
    client.command(&Command::Send(send)).await?;
    client.sender.half_close().await?;
    client.receiver.expect_download(&send).await?;
    client.receiver.expect_end().await
}

async fn stall(mut client: Client, dice: &mut Dice) -> Result<(), ClientError> {
    let send = Send { count: 64, size: 1 << 16, seed: dice.next() };
    client.command(&Command::Send(send)).await?;
    sleep(Duration::from_millis(dice.below(3000))).await;
    if dice.percent(50) { client.receiver.expect_download(&send).await } else { client.reset() }
}

async fn flood(mut client: Client, door: &Door, dice: &mut Dice) -> Result<(), ClientError> {
    /// Nothing is taken any more when one message takes this long.
    const FULL: Duration = Duration::from_millis(300);
    let content = dice.bytes(10_000, 100_000);
    for _ in 0..200 {
        match timeout(FULL, client.command(&Command::Echo(content.clone()))).await {
            // One client cannot make a link wait that others share: who does not read what it asked for is closed.
            Ok(Err(ClientError::Io(_))) if door.rotations.is_some() => return Ok(()),
            Ok(sent) => sent?,
            Err(_) => break,
        }
    }
    client.reset()
}

/// A client that does not go on: its first bytes may be incomplete.
async fn cut(door: &Door, options: &Options, dice: &mut Dice) -> Result<(), ClientError> {
    let opening = Opening::new(options);
    let bytes = opening.first_bytes();
    let len = dice.below(bytes.len() as u64 + 1) as usize;
    let mut stream = TcpStream::connect(door.address).await?;
    stream.write_all(&bytes[..len]).await?;
    sleep(Duration::from_millis(dice.below(200))).await;
    if dice.percent(50) {
        stream.set_zero_linger()?;
    }
    Ok(())
}

async fn garbage(door: &Door, dice: &mut Dice) -> Result<(), ClientError> {
    let mut stream = TcpStream::connect(door.address).await?;
    stream.write_all(&dice.bytes(1, 5000)).await?;
    sleep(Duration::from_millis(dice.below(500))).await;
    Ok(())
}

async fn stranger(door: &Door) -> Result<(), ClientError> {
    let mut stream = TcpStream::connect(door.address).await?;
    stream.write_all(QUESTION).await?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await?;
    if page == PAGE { Ok(()) } else { Err(ClientError::Mismatch) }
}

/// Waits for the end, orderly or not. Something else than an end is wrong.
async fn ended(mut client: Client) -> Result<(), ClientError> {
    match client.recv().await {
        Ok(None) | Err(ClientError::Io(_)) => Ok(()),
        Ok(Some(_)) => Err(ClientError::Mismatch),
        Err(error) => Err(error),
    }
}
