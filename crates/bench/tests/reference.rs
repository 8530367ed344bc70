//! The reference relays, as processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// A relay to `target`, killed when the test is over.
struct Relay(Child);

impl Relay {
    fn start(mode: &str, target: &str) -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_teleferry-bench"));
        command.args(["reference", "--mode", mode, "--target", target]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (Self(child), line.trim().to_owned())
    }

    /// Ends its standard input, and gives whether it ended well.
    fn stop(mut self) -> bool {
        drop(self.0.stdin.take());
        self.0.wait().unwrap().success()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// More than every socket buffer and pipe on the way holds, so that each must wait for the other side.
const LEN: usize = 24 << 20;

fn relays_everything_and_passes_ends_on(mode: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (relay, address) = Relay::start(mode, &listener.local_addr().unwrap().to_string());
    // The target reads all before it answers, so both directions fill up and drain in turn.
    let target = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let sent: Vec<u8> = (0..LEN).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect();
    let mut client = TcpStream::connect(&address).unwrap();
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut came = Vec::new();
    client.read_to_end(&mut came).unwrap();
    assert!(came == sent, "{} of {LEN} bytes came, or others", came.len());
    target.join().unwrap();
    assert!(relay.stop(), "it ends with its standard input");
}

#[test]
fn copying_relays_everything_and_passes_ends_on() {
    relays_everything_and_passes_ends_on("copy");
}

#[test]
fn splicing_relays_everything_and_passes_ends_on() {
    relays_everything_and_passes_ends_on("splice");
}
